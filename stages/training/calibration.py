"""Temperature scaling: Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks"."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimises the cross-entropy of logits / temperature; logits (examples, classes).

    A temperature above 1 means that the model was overconfident. Fit it on examples that the model was not trained on.
    The predicted classes do not change. If every prediction is right, no minimum exists, and the temperature is 1.
    """
    if bool((logits.argmax(1) == labels).all()):
        return 1.0
    logits, log_temperature = logits.detach().double(), torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = cross_entropy(logits.cpu() / log_temperature.exp(), labels.cpu())
        found.backward()
        return found

    optimizer.step(loss)
    return float(log_temperature.detach().exp())
