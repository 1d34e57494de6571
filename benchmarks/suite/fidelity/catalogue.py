"""The tasks with fidelities by name: those on which defaults are chosen, and those among them whose beginnings lie."""

from __future__ import annotations

import functools
from collections.abc import Callable

from suite.fidelity import curves, graph_networks
from suite.fidelity.task import FidelityTask

_HONEST: dict[str, Callable[[str], FidelityTask]] = {
    "lcbench_167168": lambda name: curves.surrogate(name, "lcbench", "167168"),
    "lcbench_189906": lambda name: curves.surrogate(name, "lcbench", "189906"),
    "nmt_fr-en": lambda name: curves.translation(name, "fr-en"),
    "mfh3_good": lambda name: curves.hartmann(name, 3),
    "mfh6_good": lambda name: curves.hartmann(name, 6),
    "xgb_1501": lambda name: curves.surrogate(name, "rbv2_xgboost", "1501"),
    "xgb_16": lambda name: curves.surrogate(name, "rbv2_xgboost", "16"),
    "gnn_cora": graph_networks.gnn_cora,
}
_LYING = ("lcbench_167168", "lcbench_189906", "mfh6_good", "xgb_1501")
_OTHERS: dict[str, Callable[[str], FidelityTask]] = {"mf_hartmann6_toy": curves.hartmann_amplitude}

DEV = tuple(_HONEST)
LIES = tuple(f"{name}_lies" for name in _LYING)
NAMES = (*DEV, *LIES, *_OTHERS)


@functools.cache
def make_task(name: str) -> FidelityTask:
    """The task of a name of `NAMES`."""
    if name in LIES:
        return curves.lying(make_task(name.removesuffix("_lies")), name)
    return {**_HONEST, **_OTHERS}[name](name)


def names_of(wanted: str) -> list[str]:
    """Names of the tasks of "dev" or "lies"; or those named, parted by commas.

    Raises:
        ValueError: There is no such task.
    """
    sets = {"dev": DEV, "lies": LIES, "all": (*DEV, *LIES)}
    names = [name for one in wanted.split(",") for name in sets.get(one, (one,))]
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"tasks: must be dev, lies, all or names, got {unknown}; known are {', '.join(NAMES)}")
    return names
