"""The header of a run: what makes it this run and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_defaults, options_of
from autohpo.algorithms.registry import get_hpo, name_of
from autohpo.errors import RegistryError
from autohpo.spaces.identity import as_kept
from autohpo.spaces.tagged import to_json
from autohpo.version import __version__


def run_header(hpo: BaseHPOptimizer, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what makes a run this run. The budget may grow from call to call: that of the first is kept as a remark.

    An option that an older release did not know is left out where it has its default, as the run went without it. The
    algorithm may have had another name there.

    Args:
        hpo: The optimizer.
        kept: The header of the store, if a run was begun there.
    """
    name, space = name_of(type(hpo)), hpo.space.to_dict()
    followed = hpo._resume_with(kept.get("options", {})) if kept is not None else ()
    given = {k: to_json(v) for k, v in options_of(hpo).items()}
    budget = {k: v for k, v in given.items() if k in hpo.budget_options and v is not None}
    options = {k: v for k, v in given.items() if k not in hpo.budget_options}
    if kept is not None:
        space = as_kept(space, kept.get("space"))
        name = kept["algorithm"] if _is_named(kept.get("algorithm"), type(hpo)) else name
        defaults = option_defaults(type(hpo))
        known = kept.get("options", {})
        unknown = {k for k, v in options.items() if k in followed or (k in defaults and to_json(defaults[k]) == v)}
        options = {k: v for k, v in options.items() if k in known or k not in unknown}
    return {"algorithm": name, "options": options, "space": space, "budget": budget, "version": __version__}


def _is_named(name: object, cls: type[BaseHPOptimizer]) -> bool:
    """Whether an algorithm goes by a name: its own, one that it had in an older release, or an alias."""
    try:
        return isinstance(name, str) and get_hpo(name) is cls
    except RegistryError:
        return False


def with_objective(
    header: Mapping[str, Any], kept: Mapping[str, Any] | None, hpo: BaseHPOptimizer
) -> Mapping[str, Any]:
    """Return a header in which the objective stands as far as it has to be that of the store.

    A search without ``optimize`` knows no objective: it goes on with that of the store. ``optimize`` goes on with its
    run unless the algorithm has given trials a fidelity that the objective does not take.

    Args:
        header: What is known here: with ``objective`` in ``optimize``.
        kept: The header of the store, if a run was begun there.
        hpo: The optimizer, which learns whether the objective of the store takes a fidelity.
    """
    if kept is None or ("objective" in header) is ("objective" in kept):
        return header
    if "objective" in kept:
        hpo.has_fidelity = kept["objective"].get("takes_fidelity", False)
        followed = {name: kept[name] for name in ("objective", "schedule") if name in kept}
        return {**header, **followed}
    can_go_on = header["objective"]["takes_fidelity"] or not hpo.is_multi_fidelity
    return {name: value for name, value in header.items() if name != "objective" or not can_go_on}


def is_ordered(header: Mapping[str, Any] | None) -> bool:
    """Return whether the trials of a run end in the order in which they were asked for.

    Args:
        header: The header of its store; None where none has begun.
    """
    return header is not None and header.get("schedule") == "deterministic"
