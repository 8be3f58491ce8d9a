"""Help and errors of all commands, and completion in the shell."""

import argparse
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from keras_avssan.cli.checks import FILES, FOLDERS
from keras_avssan.cli.options import Commands

_EXAMPLE = "example:\n  "
_INVALID = re.compile(
    r"argument (-[^ :]+): invalid (\w+)(?: value)?: '(.*?)'(?: \(choose .*)?", re.S
)
_SHELLS = ("bash", "zsh", "fish")
_KINDS = {"float": "a number", "int": "a whole number"}


class Parser(argparse.ArgumentParser):
    """Reports a wrong value in one line; shows usage only if options are unknown or missing."""

    def error(self, message: str) -> NoReturn:
        found = _INVALID.fullmatch(message)
        if not found:
            super().error(message)
        option, kind, value = found.groups()
        expected = _KINDS.get(kind, kind)
        if kind == "choice":
            choices = self._option_string_actions[option].choices or ()
            expected = f"one of {', '.join(map(str, choices))}"
        self.exit(
            2, f"{self.prog}: error: `{option}` must be {expected}. Received: {option}={value}\n"
        )


class HelpFormatter(argparse.HelpFormatter):
    """Shows the default of every option, and examples as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_EXAMPLE) else super()._fill_text(text, width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = super()._get_help_string(action)
        default = action.default
        silent = default is None or default == argparse.SUPPRESS or isinstance(default, bool)
        if silent or not action.option_strings:
            return text
        if isinstance(default, (list, tuple)):
            default = " ".join(map(str, default))
        elif isinstance(default, float):
            default = f"{default:g}"
        return f"{text} (default: {default})".replace("%", "%%")


def complete_help(parser: argparse.ArgumentParser, prog: str) -> None:
    """Sets help format, description and default `parser` of all commands below a parser.

    Descriptions are those of the list of commands; `epilog` holds examples, with `prog` in place
    of `keras-avssan`.
    """
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {choice.dest: choice.help for choice in action._choices_actions}
        for name, command in action.choices.items():
            command.formatter_class = HelpFormatter
            command.description = command.description or _sentence(helps[name] or "")
            if command.epilog:
                lines = re.sub("^keras-avssan", prog, command.epilog, flags=re.MULTILINE)
                command.epilog = _EXAMPLE + lines.replace("\n", "\n  ")
            command.set_defaults(parser=command)
            complete_help(command, prog)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def add_completion(commands: Commands, make_parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Adds `completion`; `make_parser` returns the parser of all commands."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and paths in a shell",
        epilog="keras-avssan completion bash "
        "> ~/.local/share/bash-completion/completions/keras-avssan\n"
        'keras-avssan completion zsh > "${fpath[1]}/_keras-avssan"\n'
        "keras-avssan completion fish > ~/.config/fish/completions/keras-avssan.fish",
    )
    parser.add_argument("shell", choices=_SHELLS, help="the shell that is to read the script")
    parser.set_defaults(run=lambda options: _print_script(options, make_parser()))


def _print_script(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    import shtab

    for command in _all_parsers(parser):
        action: Any
        for action in command._actions:
            if action.dest in FOLDERS:
                action.complete = shtab.DIRECTORY
            elif action.dest in FILES:
                action.complete = shtab.FILE
    print(shtab.complete(parser, shell=options.shell))


def _all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_parsers(command)
