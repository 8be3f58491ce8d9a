"""The command line: what `--help` and wrong values show of every command."""

import argparse
import re

_EXAMPLE = "example:\n  "
_INVALID = re.compile(
    r"argument (-[^ :]+): invalid (\w+)(?: value)?: '(.*?)'(?: \(choose .*)?", re.S
)
_KINDS = {"float": "a number", "int": "a whole number"}


class Parser(argparse.ArgumentParser):
    """Tells a wrong value in one line; usage is for options that are unknown or missing."""

    def error(self, message):
        found = _INVALID.fullmatch(message)
        if not found:
            super().error(message)
        option, kind, value = found.groups()
        expected = _KINDS.get(kind, kind)
        if kind == "choice":
            choices = self._option_string_actions[option].choices or ()
            expected = f"one of {', '.join(map(str, choices))}"
        self.exit(2, f"{self.prog}: error: `{option}` must be {expected}. Received: {value}\n")


class HelpFormatter(argparse.HelpFormatter):
    """Shows the default of every option, and examples as they are written."""

    def _fill_text(self, text, width, indent):
        return text if text.startswith(_EXAMPLE) else super()._fill_text(text, width, indent)

    def _get_help_string(self, action):
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


def complete_help(parser, prog):
    """Gives all commands below a parser their form of help, and tells options their command.

    Descriptions are those of the list of commands; `epilog` holds example command lines.

    Args:
        parser: `ArgumentParser` with commands.
        prog: Name of the program, which stands for `keras-avssan` in the examples.
    """
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {choice.dest: choice.help for choice in action._choices_actions}
        for name, command in action.choices.items():
            command.formatter_class = HelpFormatter
            command.description = command.description or _sentence(helps[name])
            if command.epilog:
                lines = re.sub("^keras-avssan", prog, command.epilog, flags=re.MULTILINE)
                command.epilog = _EXAMPLE + lines.replace("\n", "\n  ")
            command.set_defaults(parser=command)
            complete_help(command, prog)


def _sentence(text):
    return f"{text[:1].upper()}{text[1:]}."
