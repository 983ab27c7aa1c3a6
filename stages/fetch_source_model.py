"""Get the source model: weights from a file, or trained on the sample's drawings -> safetensors."""

from pathlib import Path

from stages.config.params import load_params
from stages.core.cli import run
from stages.core.tensors import write_tensors
from stages.sample.source_model import write_source_model
from stages.sources.obtain import obtain
from stages.vision.networks import check_arch, outline
from stages.vision.reading.weights import read_weights


def main(out: Path) -> None:
    params = load_params()
    arch = params.pictures.arch
    check_arch(arch)  # before a download, or the sample's training
    source = getattr(params.sources.source_model, params.dataset)
    file = obtain("source_model", params.dataset, source, write_source_model, arch)
    weights, outputs = read_weights(file, arch)
    write_tensors(out, weights, {"arch": arch, "mean": source.mean, "std": source.std, "outputs": outputs})
    parameters = sum(
        parameter.numel() for name, parameter in outline(arch, outputs or 1).named_parameters() if name in weights
    )
    print(
        f"{arch}: {parameters:,} parameters, " + (f"{outputs:,} outputs" if outputs else "no output layer of its own")
    )


if __name__ == "__main__":
    run(main)
