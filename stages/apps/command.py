"""The command `sentidog`: predict, export, demo, check."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from stages.core.cli import leave

COMMANDS = {
    "predict": ("stages.predict", "classify reviews or pictures"),
    "export": ("stages.export", "write a trained model as one ONNX file"),
    "demo": ("stages.demo", "open a page to try the trained models in"),
    "check": ("stages.config.params", "check params.yaml without running anything"),
}


def parser(prog: str, description: str | None, examples: str) -> argparse.ArgumentParser:
    """Return a parser with --artifacts, whose --help ends with `examples`; {prog} in them stands for the command."""
    command = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="examples:" + examples.format(prog=prog).rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--artifacts", type=Path, default=Path("artifacts"), help="the folder that dvc repro fills")
    return command


def main() -> None:
    run()
    leave()


def run() -> None:
    listed = "\n".join(f"  sentidog {name:8} {what}" for name, (_, what) in COMMANDS.items())
    command = argparse.ArgumentParser(
        prog="sentidog",
        description="Work with the models that `dvc repro` trained.",
        epilog=f"commands:\n{listed}\n\nsentidog COMMAND --help shows a command's options and examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    name = command.parse_args(sys.argv[1:2]).command
    import_module(COMMANDS[name][0]).main(sys.argv[2:], f"sentidog {name}")
