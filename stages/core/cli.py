"""The guard at the end of every stage script."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from stages.core.files import InputError


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's arguments as paths; exit 1 with one message on an InputError."""
    names = list(inspect.signature(main).parameters)
    arguments = [Path(argument) for argument in sys.argv[1:]]
    if len(arguments) != len(names):
        sys.exit(f"usage: {Path(sys.argv[0]).name} {' '.join(names).upper()}")
    try:
        main(*arguments)
    except InputError as problem:
        sys.exit(f"error: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
