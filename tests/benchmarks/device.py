"""Speed of each model's training and test pass on the device that is there, and its share of the device's peak.

    uv run python -m tests.benchmarks.device [--device cuda] [--precision bf16] [--batches 500] [--compile] [--busy]

Reviews are random words of IMDb's lengths, pictures are noise; reading, decoding and the first batches are left out,
augmentation is counted. Sizes are params.yaml's, for `dataset: full` or --dataset. The peak is a large product of
matrices, measured here; FLOP are those of the products, convolutions and recurrent layers that run. Without --batches:
500 on a GPU, and 1 on a CPU, where one of ResNet-18 takes seconds. With --compile the networks are torch.compile's;
what it takes to start is in the first batches' seconds.
"""

import argparse
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

# Before torch: it sets what torch reads when it is loaded
from stages.core.cli import exit_on_error  # isort: split

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stages.config.params import Params, load_params
from stages.core.progress import hidden
from stages.inference.config import Normalisation, Padding
from stages.inference.device import Hardware, prepare
from stages.inference.predict import Batches, predict
from stages.text.batches.review_batches import EVAL_BATCH, ReviewBatches
from stages.text.batches.reviews import Reviews
from stages.text.models.birnn import BiRNN
from stages.text.models.textcnn import TextCNN
from stages.training.trainer import Epoch, Schedule, Trainer
from stages.vision.batches.augmentation import Transform, augmented_view, central_view
from stages.vision.batches.image_batches import DeviceViews, ImageBatches
from stages.vision.batches.images import SCHEMA, Images
from stages.vision.convolution import speed_up_convolutions
from stages.vision.networks import Classifier, build, parameter_groups
from tests.benchmarks.harness import Some

WORDS = 46_152  # IMDb's vocabulary
WARM_UP = 3  # batches, the first
FLOP_BATCHES = 2  # batches whose FLOP are counted
HELD = 20  # batches of data, at most: more are the same again, in another order


def peak(hardware: Hardware) -> float:
    """FLOP a second of a large product in this precision, the best of several."""
    side = 1024 if hardware.device.type == "cpu" else 8192
    square = torch.randn(side, side, device=hardware.device)
    best = 0.0
    with hardware.autocast():
        for _ in range(10):
            start = time.perf_counter()
            (square @ square).sum().item()
            best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def recurrent_flop(factor: int) -> Callable[..., int]:
    """Of a fused layer, per step and example: a product with each of its matrices, forward once and backward twice."""

    def count(*arguments: Any, out_val: Any = None, **_options: Any) -> int:
        tensors = [one for given in arguments for one in (given if isinstance(given, list | tuple) else [given])]
        words, *others = [one for one in tensors if isinstance(one, Tensor)]
        steps, batch = words.shape[:2]
        return factor * 2 * steps * batch * sum(one.numel() for one in others if one.ndim == 2)

    count._get_raw = True  # type: ignore[attr-defined]  # the counter hands tensors on, not their shapes
    return count


RECURRENT = {
    torch.ops.aten.mkldnn_rnn_layer: recurrent_flop(1),
    torch.ops.aten.mkldnn_rnn_layer_backward: recurrent_flop(2),
    torch.ops.aten._cudnn_rnn: recurrent_flop(1),
    torch.ops.aten._cudnn_rnn_backward: recurrent_flop(2),
}


def reviews(count: int) -> Reviews:
    numbers = np.random.default_rng(0)
    lengths = np.exp(numbers.normal(5.2, 0.6, count)).clip(10, 500).astype(np.int64)  # IMDb's: median 174 words
    ids = (numbers.zipf(1.2, lengths.sum()) % WORDS).astype(np.int32)
    labels = torch.from_numpy(numbers.integers(0, 2, count))
    offsets = torch.from_numpy(np.append(0, lengths.cumsum()))
    return Reviews(torch.from_numpy(ids), offsets, labels, ["negative", "positive"], "whitespace", 500, "start")


def images(count: int) -> Images:
    numbers = np.random.default_rng(0)
    encoded = []
    for _ in range(count):
        buffer = io.BytesIO()
        Image.fromarray(numbers.integers(0, 256, (300, 400, 3), np.uint8)).save(buffer, "JPEG")
        encoded.append(buffer.getvalue())
    labels = torch.from_numpy(numbers.integers(0, 2, count))
    column = pa.chunked_array([pa.array(encoded, SCHEMA.field("image").type)])
    return Images([str(i) for i in range(count)], labels, ["hotdog", "not-hotdog"], column)


class Task(NamedTuple):
    """A model, and what it learns and is tested on."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    train: Batches
    test: Batches


def text_task(name: str, params: Params, hardware: Hardware, count: int) -> Task:
    section, vectors = getattr(params, name), torch.randn(WORDS, params.embed_glove.dim)
    cls, keys = {
        "train_birnn": (BiRNN, ("cell", "num_hiddens", "num_layers")),
        "train_textcnn": (TextCNN, ("kernel_sizes", "num_channels")),
    }[name]
    keys += ("freeze_vectors", "pooling", "dropout", "word_dropout", "embedding_dropout")
    model = cls(vectors, 2, **{key: getattr(section, key) for key in keys}).to(hardware.device)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learning, section.lr, eps=section.vector_eps, fused=True)
    data = reviews(count * EVAL_BATCH)
    padding = Padding(section.mask_padding, section.pad_to)
    train = ReviewBatches(data, section.batch_size, hardware, seed=0, padding=padding)
    return Task(model, optimizer, train, ReviewBatches(data, EVAL_BATCH, hardware, seed=None, padding=padding))


def image_task(name: str, params: Params, hardware: Hardware, count: int) -> Task:
    size, batch = (getattr(key, params.dataset) for key in (params.pictures.image_size, params.pictures.batch_size))
    arch, section = params.pictures.arch, getattr(params, name)
    model = Classifier(arch, build(arch, 2), getattr(section, "freeze", "none"))
    speed_up_convolutions(model)
    model = model.to(hardware.device).to(memory_format=torch.channels_last)
    groups = parameter_groups(model, section.lr, getattr(section, "output_lr_factor", 1))
    optimizer = torch.optim.SGD(groups, section.lr, section.momentum, weight_decay=section.weight_decay, fused=True)
    data = images(count * batch)

    def batches(transform: Transform, seed: int | None) -> ImageBatches:
        made = ImageBatches(data, transform, Normalisation([0.5] * 3, [0.25] * 3), batch, hardware, seed=seed)
        made.views, made.workers = DeviceViews(data, transform, seed, hardware.device), 0
        return made

    augmented = augmented_view(params.augment, size)
    return Task(model, optimizer, batches(augmented, 0), batches(central_view(size), None))


def measure(what: str, run: Callable[[int], int], batches: int, fastest: float, threads: int) -> None:
    """Print a line of what `run` does, which takes a number of batches, HELD at most, and returns that of examples."""
    start = time.perf_counter()
    run(WARM_UP)
    first = time.perf_counter() - start
    torch.set_num_threads(1)  # the counter sees this thread alone
    # What torch.compile makes of a network are no products that could be counted
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False, custom_mapping=RECURRENT) as counter:
        counted = run(FLOP_BATCHES)
    torch.set_num_threads(threads)
    flop = counter.get_total_flops() / counted
    start = time.perf_counter()
    examples = sum(run(min(HELD, batches - done)) for done in range(0, batches, HELD))
    rate = examples / (time.perf_counter() - start)
    print(f"{what:32} {first:8.1f} {rate:12,.1f} {flop / 1e9:10.3f} {rate * flop / fastest:10.1%}", flush=True)


@contextmanager
def busy_core() -> Iterator[None]:
    """Run another process that keeps one core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            yield
        finally:
            other.kill()


def main(
    device: str, precision: str, threads: int | None, batches: int | None, dataset: str, only: str, *, compile: bool
) -> None:
    hardware = prepare(device, precision, threads)
    batches = batches or (1 if hardware.device.type == "cpu" else 500)
    params = load_params().model_copy(update={"dataset": dataset})
    fastest = peak(hardware)
    print(f"{hardware}: {fastest / 1e12:.2f} TFLOP/s in a product of matrices\n")
    print(f"{'':32} {'first, s':>8} {'examples/s':>12} {'GFLOP each':>10} {'of peak':>10}")
    for name in only.split(","):
        torch.manual_seed(0)
        make = text_task if name.startswith("train_") else image_task
        task = make(name, params, hardware, min(HELD, batches))
        trainer = Trainer(task.model, task.optimizer, Schedule(epochs=1, average_epochs=1), hardware)
        if compile:
            task.model.compile()

        def learn(count: int, task: Task = task, trainer: Trainer = trainer) -> int:
            trainer.epoch = Epoch.start(count, hardware.device)  # a new one each time
            trainer.train_epoch(Some(task.train, 1, count))
            return int(trainer.epoch.sizes.sum())  # waits for the device

        def look(count: int, task: Task = task) -> int:
            logits, _ = predict(task.model, Some(task.test, 1, count), hardware, "test")
            return len(logits.tolist())  # waits for the device

        measure(f"{name}: training", learn, batches, fastest, hardware.threads)
        measure(f"{name}: test pass", look, batches, fastest, hardware.threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "fp32"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batches", type=int)
    parser.add_argument("--dataset", default="full", choices=["sample", "full", "own"])
    parser.add_argument("--only", default="train_birnn,train_textcnn,finetune,scratch", help="some of these")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--busy", action="store_true", help="beside a process that keeps one core busy")
    given = vars(parser.parse_args())
    with exit_on_error(), hidden(), busy_core() if given.pop("busy") else nullcontext():
        main(**given)
