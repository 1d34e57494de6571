"""Search spaces of the models, with plain names or with AutoGL's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from autohpo.errors import OptionError, shown
from autohpo.integrations.pyg.configuration import MODELS, PART_OF
from autohpo.spaces import ChoiceHP, HPSpace, ListHP, LogRangeHP, RangeHP

Task = Literal["node", "graph"]


def space_of(models: str | Sequence[str], task: Task = "node", *, prefix: bool = False) -> list[HPSpace]:
    """Return what is searched for a model, or for several.

    Args:
        models: One of ``gcn, gat, sage, gin, appnp``; or some of them, to search for the best one: then ``model`` is a
            choice, and what only some of them have is active for these alone.
        task: What is classified: nodes or graphs.
        prefix: Whether names have AutoGL's parts before them: ``trainer:lr``, ``encoder:hidden``, ``decoder:pooling``.

    Raises:
        OptionError: A model is unknown, or there is none.

    Example:
        >>> [hp.name for hp in space_of("gcn")]
        ['lr', 'weight_decay', 'dropout', 'layers', 'hidden']
        >>> [hp.name for hp in space_of("appnp", prefix=True)][-2:]
        ['encoder:alpha', 'encoder:hops']
    """
    names = checked_models(models)
    space = _common(task, prefix=prefix)
    own = {model: _own(model, prefix=prefix) for model in names}
    if len(names) > 1:
        space.append(ChoiceHP(_name("model", prefix), names, children=own))
    else:
        space += own[names[0]]
    return space + (_readout(prefix=prefix) if task == "graph" else [])


def checked_models(models: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of models as a tuple.

    Raises:
        OptionError: One is unknown, none is there, or one is there twice.
    """
    names = (models,) if isinstance(models, str) else tuple(models) if isinstance(models, (list, tuple)) else ()
    if not names or len({*map(str, names)}) < len(names) or any(name not in MODELS for name in names):
        raise OptionError(f"model: must be one of {', '.join(MODELS)}, or a list of some of them, got {shown(models)}")
    return names


def _name(name: str, prefix: bool) -> str:
    return f"{PART_OF[name]}:{name}" if prefix else name


def _common(task: Task, *, prefix: bool) -> list[HPSpace]:
    """What every model has."""
    layers = _name("layers", prefix)
    most, less = (3, 1) if task == "node" else (5, 0)
    space: list[HPSpace] = [
        LogRangeHP(_name("lr", prefix), 1e-3, 1e-1),
        LogRangeHP(_name("weight_decay", prefix), 1e-5, 1e-2),
        RangeHP(_name("dropout", prefix), 0.0, 0.8),
        RangeHP(layers, 2, most),
        ListHP(_name("hidden", prefix), LogRangeHP("width", 8, 64), f"`{layers}` - {less}", most - less),
    ]
    if task == "graph":
        space.insert(2, LogRangeHP(_name("batch_size", prefix), 16, 128))
    return space


def _own(model: str, *, prefix: bool) -> list[HPSpace]:
    """What one model has alone."""
    own: dict[str, list[HPSpace]] = {
        "gat": [ChoiceHP(_name("heads", prefix), [1, 2, 4, 8])],
        "sage": [ChoiceHP(_name("aggregation", prefix), ["mean", "sum"])],
        "gin": [RangeHP(_name("mlp_layers", prefix), 1, 3), ChoiceHP(_name("train_eps", prefix), [False, True])],
        "appnp": [LogRangeHP(_name("alpha", prefix), 0.02, 0.5), RangeHP(_name("hops", prefix), 1, 20)],
    }
    return own.get(model, [])


def _readout(*, prefix: bool) -> list[HPSpace]:
    """How the nodes of a graph become one vector; a softmax has a temperature."""
    temperature = LogRangeHP(_name("temperature", prefix), 0.1, 10.0)
    poolings = ["sum", "mean", "max", "softmax"]
    return [ChoiceHP(_name("pooling", prefix), poolings, children={"softmax": [temperature]})]
