"""The program `keras-avssan`: its commands, exit codes and errors."""

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from keras_avssan import __version__
from keras_avssan.cli.app import add_app
from keras_avssan.cli.benchmark import add_benchmark
from keras_avssan.cli.build.commands import add_build
from keras_avssan.cli.checks import check_options, hint_after, in_options
from keras_avssan.cli.evaluate import add_evaluate
from keras_avssan.cli.help import HelpFormatter, Parser, add_completion, complete_help
from keras_avssan.cli.localize import add_localize
from keras_avssan.cli.presets import add_presets
from keras_avssan.cli.rooms import add_rooms
from keras_avssan.cli.tracking.listen import add_listen
from keras_avssan.cli.train import add_train

PROG = "keras-avssan"


def main(
    arguments: Sequence[str] | None = None,
    prog: str = PROG,
    around: Callable[[str], AbstractContextManager[object]] = contextlib.nullcontext,
) -> int:
    """Runs a command, within the context manager that `around` makes of its name.

    Returns the exit code: 0, 1 if a check found something, 2 after bad input with one line on
    standard error that names it, 130 if the user stopped it.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options, unknown = _parser(prog).parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.arguments = arguments
    command, options.prog = options.parser.prog, prog
    try:
        check_options(options)
        with around(command):
            return options.run(options) or 0
    except Exception as error:
        message = in_options(options, " ".join(_message_of(error).split()))
        hint = hint_after(options, message)
        print(f"{command}: error: {message}{hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"{command}: {str(stopped) or 'stopped'}", file=sys.stderr)
        return 130


def _message_of(error: Exception) -> str:
    """Message of an error in the input; other errors are raised again, with their traceback."""
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        return str(error)
    # `tf.data` wraps what this library raises while it reads a file, and loses its type.
    wrapped = re.search(r"\b(?:ValueError|TypeError|OSError): (.*)\nTraceback", str(error))
    if wrapped and type(error).__module__.startswith("tensorflow."):
        return wrapped[1]
    raise error


def _parser(prog: str = PROG) -> argparse.ArgumentParser:
    parser = Parser(
        prog=prog,
        description="Localise the sound that a prompt shows.",
        epilog=f"`{prog} COMMAND --help` shows the options of a command, with an example.",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"keras-avssan {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_train(commands)
    add_evaluate(commands)
    add_localize(commands)
    add_listen(commands)
    add_benchmark(commands)
    add_rooms(commands)
    add_build(commands)
    add_app(commands)
    add_presets(commands)
    add_completion(commands, _parser)
    complete_help(parser, prog)
    return parser
