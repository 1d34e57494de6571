"""Configurations: the hyper-parameters of each model, their defaults and rules, and AutoGL's prefixes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from autohpo.errors import SpaceError, shown

MODELS = ("gcn", "gat", "sage", "gin", "appnp")
"""The models by their names."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "trainer": ("lr", "weight_decay", "max_epoch", "patience", "batch_size"),
    "encoder": (
        *("model", "layers", "hidden", "dropout", "heads", "aggregation"),
        *("mlp_layers", "train_eps", "alpha", "hops"),
    ),
    "decoder": ("pooling", "temperature"),
}
"""The hyper-parameters by the part of an AutoGL trainer that has them."""

PART_OF: Mapping[str, str] = {name: part for part, names in PARTS.items() for name in names}
"""The part of each hyper-parameter."""

POOLINGS = ("sum", "mean", "max", "softmax")
"""How the nodes of a graph become one vector."""

_NODE = {"lr": 1e-2, "weight_decay": 5e-4, "max_epoch": 200, "patience": None, "layers": 2, "hidden": [16]}
_GRAPH = {
    "lr": 1e-2,
    "weight_decay": 1e-5,
    "max_epoch": 100,
    "patience": None,
    "batch_size": 32,
    "layers": 3,
    "hidden": [32, 32, 32],
    "dropout": 0.5,
    "pooling": "sum",
}

NODE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gcn": {**_NODE, "dropout": 0.5},
    "gat": {**_NODE, "lr": 5e-3, "hidden": [64], "dropout": 0.6, "heads": 8},
    "sage": {**_NODE, "dropout": 0.5, "aggregation": "mean"},
    "gin": {**_NODE, "dropout": 0.5, "mlp_layers": 2, "train_eps": False},
    "appnp": {**_NODE, "weight_decay": 5e-3, "hidden": [64], "dropout": 0.5, "alpha": 0.1, "hops": 10},
}
"""What is usual for each model on citation graphs.

Sources: Kipf and Welling 2017, ICLR (gcn); Veličković et al. 2018, ICLR (gat); Klicpera et al. 2019, ICLR (appnp). The
other two were not published on these graphs; they get what a GCN has.
"""

GRAPH_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gcn": _GRAPH,
    "gat": {**_GRAPH, "heads": 4},
    "sage": {**_GRAPH, "aggregation": "mean"},
    "gin": {**_GRAPH, "mlp_layers": 2, "train_eps": False},
    "appnp": {**_GRAPH, "alpha": 0.1, "hops": 10},
}
"""What a GIN has in its paper (Xu et al. 2019, ICLR: lr, batch size, width, dropout, sum), with three layers.

The other models get the same.
"""


def _is_number(value: Any, low: float, high: float = math.inf) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _is_integer(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda v: _is_number(v, 1e-300, 1e300), "a positive, finite number"),
    "weight_decay": (lambda v: _is_number(v, 0, 1e300), "a finite number of at least 0"),
    "max_epoch": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "patience": (lambda v: v is None or _is_integer(v, 1), "an integer of at least 1, or None"),
    "batch_size": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "model": (lambda v: isinstance(v, str) and v in MODELS, f"one of {', '.join(MODELS)}"),
    "layers": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "hidden": (
        lambda v: isinstance(v, (list, tuple)) and all(_is_integer(n, 1) for n in v),
        "a width of at least 1, or a list of them",
    ),
    "dropout": (lambda v: _is_number(v, 0, 1 - 1e-9), "in [0, 1)"),
    "heads": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "aggregation": (lambda v: v in ("mean", "sum", "max"), "one of mean, sum, max"),
    "mlp_layers": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "train_eps": (lambda v: isinstance(v, bool), "True or False"),
    "alpha": (lambda v: _is_number(v, 1e-9, 1), "in (0, 1]"),
    "hops": (lambda v: _is_integer(v, 0), "an integer of at least 0"),
    "pooling": (lambda v: v in POOLINGS, f"one of {', '.join(POOLINGS)}"),
    "temperature": (lambda v: _is_number(v, 1e-6, 1e6), "a positive number"),
}


def flat(hp: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration by plain names: ``{"lr": ...}``.

    Args:
        hp: The configuration by plain names; by AutoGL's, ``{"trainer:lr": ...}``; or by parts,
            ``{"trainer": {"lr": ...}}``.

    Raises:
        SpaceError: A name is unknown, or is no mapping where one is wanted.
    """
    if not isinstance(hp, Mapping):
        raise SpaceError(f"hp: must be a dict of hyper-parameters, got {shown(hp)}")
    found: dict[str, Any] = {}
    for name, value in hp.items():
        if name in PARTS and isinstance(value, Mapping):
            found |= flat({f"{name}:{inner}": item for inner, item in value.items()})
            continue
        part, _, rest = name.rpartition(":") if isinstance(name, str) else ("", "", name)
        if PART_OF.get(rest) is None or part not in ("", PART_OF[rest]):
            known = ", ".join(f"{part}:{inner}" for inner, part in PART_OF.items())
            raise SpaceError(f"hp: names must be of {known}, with or without the part before the colon; got {name!r}")
        found[rest] = value
    return found


def prefixed(hp: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration by AutoGL's names: ``{"trainer:lr": ...}``."""
    return {f"{PART_OF[name]}:{name}": value for name, value in hp.items()}


def complete(hp: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]], n_widths: int) -> dict[str, Any]:
    """Return a whole configuration of one model, checked.

    Args:
        hp: What differs from the default, by plain names; ``model`` is among them.
        defaults: The default of each model.
        n_widths: How many widths ``hidden`` has less than there are layers.

    Raises:
        SpaceError: A value breaks its rule.
    """
    check(hp)
    default = defaults[hp["model"]]
    known = {**default, **{name: value for name, value in hp.items() if name in default or name in _ALWAYS}}
    n = known["layers"] - n_widths
    hidden = known["hidden"]
    if "hidden" not in hp:  # one width for all layers, as many as there are
        hidden = [hidden[0] if hidden else 1] * n
    known["hidden"] = list(hidden)
    if len(hidden) != n:
        raise SpaceError(f"hidden: must have {n} widths for {known['layers']} layers, got {shown(list(hidden))}")
    return known


_ALWAYS = ("model", "temperature")


def check(hp: Mapping[str, Any]) -> None:
    """Check each value of a configuration with plain names.

    Raises:
        SpaceError: A value breaks its rule.
    """
    for name, value in hp.items():
        is_right, rule = _RULES[name]
        try:
            fits = is_right(value)
        except TypeError:  # what cannot be looked up among strings
            fits = False
        if not fits:
            raise SpaceError(f"{name}: must be {rule}, got {shown(value)}")
