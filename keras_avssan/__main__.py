"""`keras-avssan`, and the same as `python -m keras_avssan`."""

import sys

from keras_avssan.cli import main as cli
from keras_avssan.cli.quiet import quiet_libraries


def main(prog: str = cli.PROG):
    """Runs the command that the arguments of the process name.

    Args:
        prog: Name of the program in usage and errors.

    Returns:
        Exit code, see `keras_avssan.cli.main.main`.
    """
    return cli.main(prog=prog, around=quiet_libraries)


if __name__ == "__main__":
    sys.exit(main("python -m keras_avssan"))
