"""Entry point of the command `keras-avssan` and of `python -m keras_avssan`."""

import sys

from keras_avssan.cli import main as cli
from keras_avssan.cli.quiet import quiet_libraries


def main(prog: str = cli.PROG) -> int:
    """Runs the command in the arguments of the process; see `keras_avssan.cli.main.main`."""
    return cli.main(prog=prog, around=quiet_libraries)


if __name__ == "__main__":
    sys.exit(main("python -m keras_avssan"))
