"""Searchers of Syne Tune: the algorithm that each is here, and its options under the names that they have here."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import check_names, option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import OptionError, shown

__all__ = ["GP", "Searcher", "full_algorithm", "options_for", "sampler_for", "searcher_of"]

GP = "gp_multi_fidelity"
"""The sampler that models all fidelities jointly."""

_EVERYWHERE = frozenset({"debug_log", "resource_attr", "scheduler", "scheduler_mode"})


@dataclass(frozen=True)
class Searcher:
    """What stands for a searcher.

    Attributes:
        full: The algorithm that stands for it where every trial is trained in full.
        partial: The sampler that stands for it below a scheduler of fidelities.
        renamed: The names of its options here, where they differ.
        without_effect: The options that change no suggestion here.
    """

    full: str
    partial: str
    renamed: Mapping[str, str] = field(default_factory=dict)
    without_effect: frozenset[str] = frozenset()


_KDE = {"num_min_data_points": "min_samples_in_model", "num_candidates": "num_samples"}
_BAYES = {
    "num_init_random": "n_startup",
    "input_warping": "is_input_warped",
    "boxcox_transform": "is_output_warped",
    "max_size_data_for_model": "max_results",
}
_GP_WITHOUT_EFFECT = frozenset({"opt_verbose", "opt_debug_writer", "map_reward", "gp_base_kernel"})
_GP_WITHOUT_EFFECT |= {"max_size_top_fraction", "profiler", "filter_observed_data"}

SEARCHERS = {
    "random": Searcher("random", "random", {}, frozenset({"allow_duplicates"})),
    "grid": Searcher(
        "grid", "grid", {"num_samples": "steps", "shuffle_config": "order"}, frozenset({"allow_duplicates"})
    ),
    "kde": Searcher("kde", "kde", _KDE, frozenset({"allow_duplicates"})),
    "bayesopt": Searcher("bayes", GP, _BAYES, _GP_WITHOUT_EFFECT),
    "hypertune": Searcher(GP, GP, {}, _GP_WITHOUT_EFFECT),
    "dyhpo": Searcher(GP, GP, {}, _GP_WITHOUT_EFFECT),
    "random_encoded": Searcher("random", "random", {}, frozenset({"allow_duplicates"})),
}

NEAREST = {
    "bore": "'kde', which compares densities of good and bad configurations as well",
    "cqr": "'bayesopt'",
    "botorch": "'bayesopt'",
    "bayesopt_cost": "'bayesopt' with cost_attr in search_options",
    "bayesopt_constrained": "autohpo's own algorithms, which take outcome constraints: docs/several-objectives.md",
}


def searcher_of(name: object) -> Searcher:
    """Return what stands for a searcher.

    Raises:
        OptionError: Nothing does; the text names the nearest.
    """
    if isinstance(name, str) and name in SEARCHERS:
        return SEARCHERS[name]
    if not isinstance(name, str):
        raise OptionError(f"searcher: must be the name of one, got {shown(name)}; autohpo takes algorithms of your own")
    if name in NEAREST:
        raise OptionError(f"searcher: {name!r} has no counterpart here; the nearest is {NEAREST[name]}")
    raise OptionError(f"searcher: must be one of {', '.join(SEARCHERS)}, got {shown(name)}")


def full_algorithm(searcher: Searcher, given: Mapping[str, Any] | None) -> str:
    """Return the algorithm that stands for a searcher where every trial is trained in full.

    It is "bayes" for "bayesopt", but for search options that "gp_multi_fidelity" alone has.
    """
    ours = {*searcher.renamed, *searcher.without_effect, *_EVERYWHERE}
    others = set(given or {}) - ours - set(option_names(get_hpo(searcher.full)))
    return GP if searcher.full == "bayes" and others & set(option_names(get_hpo(GP))) else searcher.full


def options_for(searcher: Searcher, cls: type[BaseHPOptimizer], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of an algorithm that the search options of a searcher are.

    Args:
        searcher: What stands for the searcher.
        cls: The algorithm that gets them.
        given: The search options.

    Raises:
        OptionError: A name is unknown, or its value cannot be expressed.
    """
    of_others = {*option_names(BaseHPOptimizer), *option_names(get_hpo("asha"))}  # arguments of the scheduler
    names, found, idle = set(option_names(cls)) - of_others, {}, []
    renamed = {theirs: ours for theirs, ours in searcher.renamed.items() if ours in names}
    for name, value in (given or {}).items():
        if name in names and name not in renamed:
            found[name] = value
        elif name in renamed:
            found[renamed[name]] = _adapted(name, value)
        elif name == "acq_function_kwargs":
            found |= _acquisition(dict(value or {}), names)
        elif name in searcher.without_effect or name in _EVERYWHERE:
            idle.append(name)
        elif name.startswith("transfer_learning"):
            raise OptionError(
                f"search_options: {name} has no counterpart here; give autohpo's optimize(warm_start=...)"
            )
        else:
            check_names("search_options", [name], names | set(renamed) | searcher.without_effect)
    if set(idle) - _EVERYWHERE:
        warnings.warn(f"search_options: {', '.join(idle)} have no effect here", UserWarning, stacklevel=4)
    return found


def _adapted(name: str, value: Any) -> Any:
    """The value of an option that means the same here."""
    if name == "shuffle_config":
        return "spread" if value else "nested"
    if name == "num_samples" and isinstance(value, Mapping):
        counts = set(value.values())
        if len(counts) != 1:
            raise OptionError(
                f"search_options: num_samples must be the same for all parameters here, got {shown(value)}"
            )
        return counts.pop()
    return value


def _acquisition(given: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """The option that the only argument of an acquisition function is: the number of deviations."""
    check_names("acq_function_kwargs", given, {"kappa"})
    return {"lcb_kappa": given["kappa"]} if given and "lcb_kappa" in names else {}


def sampler_for(searcher: Searcher, given: Mapping[str, Any] | None) -> str | list[Any]:
    """Return how the sampler is named that stands for a searcher: its name, or a list of its name and its options.

    Raises:
        OptionError: A search option is unknown.
        RegistryError: The sampler does not exist.
    """
    options = options_for(searcher, get_hpo(searcher.partial), given)
    if "points_to_evaluate" in option_names(get_hpo(searcher.partial)):
        options["points_to_evaluate"] = []  # the first points are the scheduler's
    return [searcher.partial, options] if options else searcher.partial
