"""The tasks by name, and the split each belongs to.

Defaults are chosen on the tasks of "dev" alone; those of "report" share no function and no data set with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from suite import coco, formulas, tables, trainings, yahpo
from suite.task import Task

Split = Literal["dev", "report"]

_FAMILIES: dict[Split, dict[str, Callable[[str], Task]]] = {
    "dev": {
        "branin": formulas.branin,
        "hartmann3": lambda name: formulas.hartmann(name, 3),
        "hartmann6": lambda name: formulas.hartmann(name, 6),
        "hpolib_protein": tables.hpolib,
        "hpobench_credit_g": tables.hpobench,
        "nb201_cifar100": tables.nasbench201,
        "nbgraph_cora": tables.nasbench_graph,
        "nmt_fr_en": tables.translation,
        "lcbench_167168": lambda name: yahpo.surrogate(name, "lcbench", "167168"),
        "lcbench_189906": lambda name: yahpo.surrogate(name, "lcbench", "189906"),
        "xgb_1501": lambda name: yahpo.surrogate(name, "rbv2_xgboost", "1501"),
        "xgb_16": lambda name: yahpo.surrogate(name, "rbv2_xgboost", "16"),
        "svm_breast": trainings.svm_breast,
        "mlp_wine": trainings.mlp_wine,
    },
    "report": {
        "ackley_mixed": formulas.ackley_mixed,
        "levy8": lambda name: formulas.levy(name, 8),
        "rosenbrock6": lambda name: formulas.rosenbrock(name, 6),
        "styblinski_log5": lambda name: formulas.styblinski_log(name, 5),
        "branches": formulas.branches,
        "boosting_diabetes": tables.tabulated,
        "mlp_digits": tables.tabulated,
        "svr_diabetes": trainings.svr_diabetes,
        "trees_digits": trainings.trees_digits,
        "neighbours_digits": trainings.neighbours_digits,
        "linear_digits": trainings.linear_digits,
    },
}
_BBOB: dict[Split, list[tuple[int, int, int]]] = {  # function, dimension, instance
    "dev": [(1, 10, 1), (3, 5, 2), (6, 5, 3), (8, 5, 4), (15, 10, 1), (17, 5, 2), (4, 5, 3), (21, 10, 4), (23, 3, 5)],
    "report": [
        *((2, 5, 6), (5, 5, 7), (7, 10, 8), (9, 3, 9), (10, 5, 10), (13, 10, 11), (16, 5, 12), (18, 5, 13)),
        *((19, 3, 14), (22, 10, 15), (24, 5, 6)),
    ],
}
_MIXED: dict[Split, list[tuple[int, int, int]]] = {
    "dev": [(15, 10, 1), (1, 10, 2), (8, 5, 3)],
    "report": [(3, 10, 4), (10, 5, 5), (21, 10, 6), (6, 5, 7)],
}
SLOW = frozenset({"mlp_wine"})
"""Takes half a second an evaluation: run only when it is named."""


def _bbob(function: int, dimension: int, instance: int) -> Callable[[str], Task]:
    return lambda name: coco.bbob(name, function, dimension, instance)


def _mixed(function: int, dimension: int, instance: int) -> Callable[[str], Task]:
    return lambda name: coco.bbob_mixed(name, function, dimension, instance)


def _all() -> dict[str, tuple[Split, Callable[[str], Task]]]:
    found: dict[str, tuple[Split, Callable[[str], Task]]] = {}
    for split, tasks in _FAMILIES.items():
        found |= {f"bbob_f{f}_d{d}_i{i}": (split, _bbob(f, d, i)) for f, d, i in _BBOB[split]}
        found |= {f"bbobmix_f{f}_d{d}_i{i}": (split, _mixed(f, d, i)) for f, d, i in _MIXED[split]}
        found |= {name: (split, make) for name, make in tasks.items()}
    return found


_TASKS = _all()
SPLIT: dict[str, Split] = {name: split for name, (split, _) in _TASKS.items()}
"""The split of each task."""


def make_task(name: str) -> Task:
    """The task of a name of `SPLIT`.

    Raises:
        ImportError: The package that evaluates it is not installed.
    """
    return _TASKS[name][1](name)


def names_of(wanted: str) -> list[str]:
    """Names of the tasks of "all", "dev" or "report", without slow ones; or those named, parted by commas.

    Raises:
        ValueError: There is no such task.
    """
    if wanted in ("all", "dev", "report"):
        return [name for name, split in SPLIT.items() if wanted in ("all", split) and name not in SLOW]
    names = wanted.split(",")
    unknown = sorted(set(names) - set(SPLIT))
    if unknown:
        raise ValueError(f"tasks: must be all, dev, report or names, got {unknown}; known are {', '.join(SPLIT)}")
    return names
