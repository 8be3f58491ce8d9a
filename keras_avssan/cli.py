"""The command line: train, evaluate, localize, benchmark, rooms, build, app."""

import argparse
import sys

from keras_avssan.cli_app import add_app
from keras_avssan.cli_benchmark import add_benchmark
from keras_avssan.cli_build import add_build
from keras_avssan.cli_evaluate import add_evaluate
from keras_avssan.cli_localize import add_localize
from keras_avssan.cli_rooms import add_rooms
from keras_avssan.cli_train import add_train


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: List of arguments; those of the process if not given.

    Returns:
        Exit code: 0, or 1 where a check found something, or 2 after bad input, with one line on
        standard error that names it, or 130 where the user stopped it.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(arguments)
    options.arguments = arguments
    try:
        return options.run(options) or 0
    except (ValueError, TypeError, OSError, ImportError) as error:
        message = " ".join(str(error).split())
        print(f"keras_avssan {options.command}: error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"keras_avssan {options.command}: {str(stopped) or 'stopped'}", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras_avssan", description="Localise the sound that a prompt shows."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    add_train(commands)
    add_evaluate(commands)
    add_localize(commands)
    add_benchmark(commands)
    add_rooms(commands)
    add_build(commands)
    add_app(commands)
    return parser
