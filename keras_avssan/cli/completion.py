"""The command line: completion in the shell."""

import argparse

from keras_avssan.cli.checks import FILES, FOLDERS

_SHELLS = ("bash", "zsh", "fish")


def add_completion(commands, make_parser):
    """Adds `completion`.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
        make_parser: Function that returns the parser of all commands.
    """
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


def _print_script(options, parser):
    import shtab

    for command in _all_parsers(parser):
        for action in command._actions:
            if action.dest in FOLDERS:
                action.complete = shtab.DIRECTORY
            elif action.dest in FILES:
                action.complete = shtab.FILE
    print(shtab.complete(parser, shell=options.shell))


def _all_parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_parsers(command)
