"""The command ``autohpo``: finds the command that was called, parses its arguments, and says how it ended."""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from autohpo.cli import exits
from autohpo.cli.arguments import UsageError, add_json
from autohpo.cli.output import Output
from autohpo.errors import AutoHPOError
from autohpo.version import __version__


class Command(NamedTuple):
    """A command: its group in the help, and a line that says what it does."""

    group: str
    summary: str


COMMANDS = {
    "run": Command("Search", "start a search from a script, a function or a configuration file"),
    "resume": Command("Search", "go on with a search that `autohpo run` started"),
    "stop": Command("Search", "end a running search in order"),
    "top": Command("Search", "watch a search live"),
    "ls": Command("Look", "list the stores of a folder"),
    "show": Command("Look", "say what a run is, how it stands, or all of one trial"),
    "best": Command("Look", "print the best configuration"),
    "trials": Command("Look", "print the trials as a table"),
    "report": Command("Look", "write the result as one HTML page"),
    "dashboard": Command("Look", "show a run in optuna-dashboard, in a browser"),
    "ask": Command("Ask and tell", "get the next configuration"),
    "tell": Command("Ask and tell", "hand over the result of a configuration"),
    "fail": Command("Ask and tell", "say that a configuration has no result"),
    "export": Command("Stores", "write a run to a file of another format"),
    "import": Command("Stores", "read a run from a file of another format"),
    "doctor": Command("Stores", "check a store, or this installation"),
    "repair": Command("Stores", "save what is whole of a damaged store"),
    "algorithms": Command("Algorithms", "list the algorithms and what they can do"),
    "new-algorithm": Command("Algorithms", "make a package with an algorithm of your own"),
}
"""The commands by name. Each is a module of ``autohpo.cli.commands``, which is loaded when it is called."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    Args:
        argv: The arguments; None takes those of the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = words[: words.index("--")] if "--" in words else words
    output = Output(is_json="--json" in options)
    with _every_text():
        try:
            code = _called(words, output)
            output.flush()
        except AutoHPOError as error:
            output.error(error)
            return exits.code_of(error)
        except BrokenPipeError:  # whoever read has seen enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return exits.OK
        except KeyboardInterrupt:
            return exits.INTERRUPTED
        except OSError as error:
            output.error(error)
            return exits.FAILED
        return code


def _called(words: list[str], output: Output) -> int:
    """Run what was called, and return its exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        if len(words) > 1 and words[0] == "help":
            return _called([words[1], "--help"], output)
        print(help_text())
        return exits.OK if words else exits.USAGE
    if words[0] in ("-V", "--version"):
        print(f"autohpo {__version__}")
        return exits.OK
    name = words[0]
    if name not in COMMANDS:
        raise UsageError(_unknown(name))
    parser = parser_of(name)
    try:
        args = parser.parse_args(words[1:])
    except UsageError as error:
        if output.is_json:
            raise
        print(f"{parser.format_usage()}{parser.prog}: error: {error}", file=sys.stderr)
        return exits.USAGE
    except SystemExit as end:  # help was asked for
        return int(end.code or 0)
    return int(_module_of(name).run(args, output) or 0)


@contextmanager
def _every_text() -> Iterator[None]:
    """Let texts be printed that standard output cannot hold, such as a path that is no UTF-8: escaped."""
    stream = sys.stdout
    errors = getattr(stream, "errors", None)
    if errors != "strict" or not hasattr(stream, "reconfigure"):
        yield
        return
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        stream.reconfigure(errors=errors)


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError for words that it does not understand, so that they can be told as JSON."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(message)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Return the value of an option: never the empty list that some releases of Python make of ``--limit=--``."""
        value = super()._get_values(action, arg_strings)
        if value == [] and action.nargs is None:
            self.error(f"argument {'/'.join(action.option_strings) or action.dest}: expected one argument")
        return value


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    module = _module_of(name)
    parser = Parser(
        prog=f"autohpo {name}",
        description=f"{COMMANDS[name].summary[0].upper()}{COMMANDS[name].summary[1:]}.",
        epilog=getattr(module, "EPILOG", None),
        formatter_class=_Help,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    add_json(parser)
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help that fits the terminal: sentences below the options are wrapped, indented lines stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for is_kept, group in itertools.groupby(text.splitlines(), lambda line: not line or line[0] == " "):
            block = list(group)
            lines += block if is_kept else textwrap.wrap(" ".join(block), width)
        return "\n".join(indent + line for line in lines)


def _module_of(name: str) -> ModuleType:
    word = name.replace("-", "_")
    return importlib.import_module(f"autohpo.cli.commands.{'import_' if word == 'import' else word}")


def help_text() -> str:
    """Return what ``autohpo --help`` prints."""
    lines = [
        "usage: autohpo COMMAND [ARGUMENTS]",
        "",
        "Find good hyper-parameters for training that is expensive to run.",
    ]
    width = max(map(len, COMMANDS)) + 2
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        names = [name for name, command in COMMANDS.items() if command.group == group]
        lines += ["", f"{group}:", *(f"  {name:{width}}{COMMANDS[name].summary}" for name in names)]
    lines += ["", "`autohpo COMMAND --help` tells more of a command; every command takes --json.", ""]
    return "\n".join([*lines, "AUTOHPO_STORE names the store where a command line does not."])


def _unknown(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{name!r} is no command{hint} Commands: {', '.join(COMMANDS)}"
