"""``autohpo algorithms``: which algorithms there are, what problems each takes, and its options."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autohpo.cli.output import Output

EPILOG = """\
examples:
  autohpo algorithms
  autohpo algorithms bohb
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="an algorithm, to print what it does and its options")


def run(args: argparse.Namespace, output: Output) -> None:
    """Print the table, or one algorithm.

    Raises:
        RegistryError: There is no algorithm of this name, or its plug-in is broken.
    """
    from autohpo.algorithms.registry import get_hpo
    from autohpo.cli.look.algorithms import facts, options_of, rows

    if args.name is None:
        found = rows()
        if output.is_json:
            output.value(found)
        else:
            _print_table(output, found)
        return
    cls = get_hpo(args.name)
    one = facts(args.name, cls) | {"options": options_of(cls)}
    if output.is_json:
        import inspect

        output.value(one | {"documentation": inspect.getdoc(cls) or ""})
    else:
        _print_one(output, one, cls)


def _print_table(output: Output, found: list[dict[str, Any]]) -> None:
    from autohpo.cli.look.algorithms import short_paper
    from autohpo.cli.look.tables import print_fitting

    table = []
    for one in found:
        if "error" in one:
            table.append({"name": one["name"], "fidelity": "broken"})
            continue
        alias = one["alias_of"]
        table.append(
            {
                "name": one["name"],
                "fidelity": one["fidelity"],
                "objectives": one["objectives"],
                "parallel": "rungs wait" if "waits" in one["parallel"] else one["parallel"],
                "paper": f"another name of {alias}" if alias else short_paper(one["paper"]),
                "limits on results": "yes" if one["outcome_constraints"] else "no",
                "space": one["space"].replace("any, with constraints", "any + constraints"),
            }
        )
    columns = list(dict.fromkeys(name for row in table for name in row))
    print_fitting(output, table, columns, "--json has all, `autohpo algorithms NAME` tells of one")
    for one in found:
        if "error" in one:
            output.note(one["error"])


def _print_one(output: Output, one: dict[str, Any], cls: type) -> None:
    import inspect
    import shutil
    import textwrap

    from autohpo.cli.look.algorithms import filled, plain

    width = min(shutil.get_terminal_size().columns, 100) if output.is_terminal else 100
    text = (inspect.getdoc(cls) or "").partition("\nArgs:\n")[0].replace("``", "`").rstrip()
    text = plain(text)
    output.line(f"{one['name']}" + (f", another name of {one['alias_of']}" if one["alias_of"] else ""))
    output.line()
    output.line(filled(text, width) or "(it has no documentation)")
    output.line()
    for name, value in (
        ("space", one["space"]),
        ("fidelity", one["fidelity"]),
        ("parallel", one["parallel"]),
        ("objectives", one["objectives"]),
        ("limits on results", "yes" if one["outcome_constraints"] else "no"),
        ("module", one["module"]),
    ):
        output.line(f"{name:19}{value}")
    for title, is_common in (("options:", False), ("options of all algorithms:", True)):
        options = [option for option in one["options"] if option["is_common"] is is_common]
        if options:
            output.line()
            output.line(title)
        for option in options:
            default = "" if option["default"] is None else f" = {option['default']}"
            output.line(f"  {option['name']}: {option['type']}{default}")
            if option["meaning"]:
                output.line(
                    textwrap.fill(option["meaning"], width, initial_indent="      ", subsequent_indent="      ")
                )
