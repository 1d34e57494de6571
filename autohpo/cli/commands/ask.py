"""`autohpo ask`: the next configuration, for a program that trains it and tells the result."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autohpo.cli.arguments import UsageError, add_store, store_of
from autohpo.cli.asking import add_client, opened, pairs_of

if TYPE_CHECKING:
    from autohpo.cli.output import Output
    from autohpo.search import Search

EPILOG = """\
examples:
  autohpo ask run.db --space space.yaml --algorithm tpe --max-evals 50
  autohpo ask run.db --client-id "$HOSTNAME" --format args
  eval "$(autohpo ask run.db --format env)"; python train.py --lr "$HP_lr"

exit code 6: nothing to do now, perhaps after the next result; 7: the search is over."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    add_client(parser)
    parser.add_argument(
        "--format",
        choices=("json", "args", "env"),
        default="json",
        help="json; args: options for a command line, as --lr 0.1; env: lines that a shell evaluates (default json)",
    )
    parser.add_argument(
        "--fidelity-name",
        default="fidelity",
        metavar="NAME",
        help="the option that takes the fidelity with --format args (default fidelity)",
    )
    begin = parser.add_argument_group("to begin a search (the store keeps all of it; later calls need not repeat it)")
    begin.add_argument("--space", metavar="FILE", help="the parameters to search; makes the store if there is none")
    begin.add_argument("--algorithm", metavar="NAME", help="the algorithm (default auto; see `autohpo algorithms`)")
    begin.add_argument(
        "--max-evals", type=int, metavar="N", help="how many suggestions there are at most; a larger number goes on"
    )
    begin.add_argument("--seed", type=int, metavar="S", help="a number for everything random")
    begin.add_argument(
        "--mode",
        action="append",
        metavar="MODE",
        help="max or min (default max); once for each of several objectives, as NAME=max where they have names",
    )
    begin.add_argument(
        "--option", action="append", metavar="NAME=VALUE", help="an option of the algorithm; may be repeated"
    )


def run(args: argparse.Namespace, output: Output) -> None:
    """Print the next suggestion."""
    if args.json and args.format != "json":
        raise UsageError(f"format: must be json where --json is given, got {args.format}")
    with opened(_search_of(args), args.wait, output) as search:
        suggestion = search.ask(client_id=args.client_id)
        root = search.state.chain(suggestion.number).root
        files = search.store.files
    if args.format == "args":
        output.line(words_of(suggestion, suggestion.fidelity, args.fidelity_name))
        return
    from autohpo.folders import checkpoint_dir

    said = {
        "number": suggestion.number,
        "hp": dict(suggestion),
        "fidelity": suggestion.fidelity,
        "resume": suggestion.resume,
        "fork": suggestion.fork,
        "seed": suggestion.seed,
        "client_id": args.client_id,
        "checkpoint_dir": str(checkpoint_dir(files, root)),
    }
    if args.format == "env":
        output.line("\n".join(lines_of(said)))
    else:
        output.value(said)


def _search_of(args: argparse.Namespace) -> Search:
    """Return the search of the store, or a new one.

    Raises:
        NoRunError: There is no run in the store, and no space to begin one with.
        StoreMismatchError: The store holds a run of another algorithm.
    """
    from autohpo.algorithms.registry import build_hpo_from_name, canonical_name, name_of
    from autohpo.clients import checked_client
    from autohpo.errors import NoRunError, StoreMismatchError
    from autohpo.search import Search
    from autohpo.store import redacted

    url = store_of(args, must_exist=False)
    checked_client(args.client_id)  # before a store is made
    if url == "memory:":
        raise UsageError("store: must be a file, got 'memory:', which ends with this command")
    space, options = _space_of(args), _options_of(args)
    try:
        search = Search.load(url, None, space, **options)
    except NoRunError as error:
        if space is None:
            raise NoRunError(f"{error}; give --space FILE to begin one") from None
        return Search(build_hpo_from_name(args.algorithm or "auto", space, None, **options), url)
    kept = name_of(type(search.hpo))
    if args.algorithm and canonical_name(args.algorithm) != kept:
        raise StoreMismatchError(
            f"store: {redacted(url)} holds another run; use another file, or the same settings as before\n"
            f"  algorithm: the store has {kept!r}, here it is {args.algorithm!r}"
        )
    return search


def _space_of(args: argparse.Namespace) -> Any:
    """Return the space of the file that is named; None where none is."""
    if args.space is None:
        return None
    from collections.abc import Mapping
    from pathlib import Path

    from autohpo.spaces.files.documents import read_document
    from autohpo.spaces.files.reading import parsed_space

    given, constraints = read_document(Path(args.space)), ()
    if isinstance(given, Mapping) and isinstance(given.get("space"), (Mapping, list)):  # what `autohpo run` takes
        given, constraints = given["space"], given.get("constraints") or ()
    return parsed_space(given, constraints)


def _options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the optimizer that the command line gives."""
    from autohpo.cli.config.values import flow_value

    pairs = pairs_of(args.option, "option")
    options: dict[str, Any] = {name: flow_value(f"option {name}", text) for name, text in pairs.items()}
    for name in options.keys() & {"name", "space", "f", "url"}:
        raise UsageError(f"option: must be one of the algorithm, got {name}")
    given = {"max_evals": args.max_evals, "seed": args.seed, "mode": _mode_of(args.mode)}
    for name, value in given.items():
        if value is not None:
            if name in options:
                raise UsageError(f"{name}: must be given once, got --{name.replace('_', '-')} and --option {name}=")
            options[name] = value
    return options


def _mode_of(words: list[str] | None) -> Any:
    """Return the mode: a word, a list of them, or a dict from objective to word; None where nothing is said."""
    if not words:
        return None
    if any("=" in word for word in words):
        return pairs_of(words, "mode")
    return words[0] if len(words) == 1 else list(words)


def words_of(hp: Mapping[str, Any], fidelity: float | None, fidelity_name: str) -> str:
    """Return a configuration as the options of a command line, quoted for a shell.

    Args:
        hp: The configuration.
        fidelity: The fidelity; None leaves it out.
        fidelity_name: The option that takes the fidelity.

    Raises:
        UsageError: A parameter has that name, too.
    """
    import shlex

    from autohpo.commands.words import word_of

    if fidelity is not None and fidelity_name in hp:
        raise UsageError(f"fidelity-name: must not be that of a parameter, got {fidelity_name!r}")
    values = dict(hp) if fidelity is None else {**hp, fidelity_name: fidelity}
    return " ".join(f"{shlex.quote(f'--{name}')} {shlex.quote(word_of(name, value))}" for name, value in values.items())


def lines_of(said: Mapping[str, Any]) -> list[str]:
    """Return lines that a shell evaluates: parameters as ``HP_name``, the rest as the variables that commands get.

    Raises:
        UsageError: Two parameters would have one variable.
    """
    import re
    import shlex

    from autohpo.commands.words import json_of, word_of

    more = {name: said[name] for name in ("fidelity", "seed", "resume", "fork", "client_id", "checkpoint_dir")}
    found = {"AUTOHPO_TRIAL": str(said["number"])}
    found |= {f"AUTOHPO_{n.upper()}": "" if value is None else word_of(n, value) for n, value in more.items()}
    found |= {"AUTOHPO_CONFIG": json_of(said["hp"]), "AUTOHPO_ARGS": words_of(said["hp"], None, "")}
    for name, value in said["hp"].items():
        variable = "HP_" + re.sub(r"[^A-Za-z0-9_]", "_", name)
        if variable in found:
            raise UsageError(f"format: must be json or args, as two parameters would be ${variable}, got env")
        found[variable] = word_of(name, value)
    return [f"export {name}={shlex.quote(text)}" for name, text in found.items()]
