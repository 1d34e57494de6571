"""Search spaces of hyperopt: trees of ``hp.choice`` and the rest, and configurations given back in their structure."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.integrations._children import with_children
from autohpo.integrations._hyperopt_distributions import argument, is_fixed, parameter_of, value_of
from autohpo.spaces import ChoiceHP, HPSpace, SearchSpace
from autohpo.spaces.index import first_places
from autohpo.spaces.tagged import is_same
from autohpo.untrusted import reading

__all__ = ["as_objective", "from_hyperopt", "restore"]


def from_hyperopt(tree: Any) -> SearchSpace:
    """Return the search space of a hyperopt space: its labels, without its structure.

    A choice among plain values has these values; another one has the places of its options, from 0, as in the result of
    ``fmin``, and what an option holds is only active where it is chosen. Steps of integers make integers. A normal
    distribution becomes a range of 6 standard deviations around its mean, with a prior.

    Args:
        tree: Nested dicts, lists and tuples with ``hp.choice``, ``hp.uniform``, ... in them, and expressions of these.

    Raises:
        SpaceError: A label stands for two different distributions, or something cannot be expressed here.

    Example:
        >>> from hyperopt import hp
        >>> tree = {"lr": hp.loguniform("lr", -7, 0), "model": hp.choice("model", [{"k": hp.randint("k", 5)}, "svm"])}
        >>> space = from_hyperopt(tree)
        >>> space["model"].choices, space["k"]
        ((0, 1), RangeHP(name='k', low=0, high=4))
        >>> restore(tree, {"lr": 0.1, "model": 0, "k": 3})
        {'lr': 0.1, 'model': {'k': 3}}
    """
    return _read(tree).space


def restore(tree: Any, hp: Mapping[str, Any]) -> Any:
    """Return a configuration in the structure of a hyperopt space: what hyperopt hands to its objective.

    Args:
        tree: The space, as given to :func:`from_hyperopt`.
        hp: A configuration of that search space.

    Raises:
        SpaceError: It is none.
    """
    return _read(tree).restored(hp)


def as_objective(fn: Callable[[Any], Any], tree: Any) -> Callable[[Mapping[str, Any]], float]:
    """Return an objective function of hyperopt's as one of ours, for ``mode="min"``.

    Args:
        fn: A function of the structure; it returns the loss, or a dict with ``loss`` and ``status``.
        tree: The space.

    Raises:
        SpaceError: The space breaks a rule; see :func:`from_hyperopt`.
    """
    return _Objective(fn, tree)


class _Objective:
    """An objective of hyperopt's; a class, so that it can be pickled."""

    def __init__(self, fn: Callable[[Any], Any], tree: Any) -> None:
        functools.update_wrapper(self, fn)
        del self.__wrapped__  # type: ignore[attr-defined] # its arguments are others
        self._fn, self._tree, self._read = fn, tree, _read(tree)

    def __call__(self, hps: Mapping[str, Any]) -> float:
        """Return the loss.

        Raises:
            RuntimeError: The function says that it failed.
        """
        result = self._fn(self._read.restored(dict(hps)))
        if not isinstance(result, Mapping):
            return result  # type: ignore[no-any-return] # checked where all results are
        if result.get("status", "ok") != "ok":
            raise RuntimeError(f"the objective returned {shown(dict(result))}")
        return result["loss"]  # type: ignore[no-any-return]


class _Tree:
    """A space that was read.

    Args:
        tree: The space, as hyperopt's graph.
    """

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._plain: dict[str, HPSpace] = {}
        self._below: dict[str, list[set[str]]] = {}  # by label of a choice: the labels below each option
        self._known: dict[int, list[str]] = {}
        roots = set(self._labels(tree))
        children = {name: [sorted(labels - roots) for labels in below] for name, below in self._below.items()}
        self.space = SearchSpace(with_children(self._plain, children))

    def restored(self, hp: Mapping[str, Any]) -> Any:
        """Return a configuration in the structure of the space."""
        from hyperopt import space_eval

        checked = self.space.checked(hp)
        values = {name: self._plain[name].to_json(v) if name in self._below else v for name, v in checked.items()}
        with reading("space"):  # an expression of the user's own may raise anything
            return space_eval(self._tree, values)

    def _labels(self, node: Any) -> list[str]:
        """Return the labels below a node that are active whenever it is."""
        if id(node) not in self._known:
            found = dict.fromkeys(self._found(node))
            self._known[id(node)] = list(found)
        return self._known[id(node)]

    def _found(self, node: Any) -> list[str]:
        if node.name == "switch":
            return self._choice(*node.inputs())
        if node.name == "hyperopt_param":
            label, distribution = value_of(argument(node, "label")), argument(node, "obj")
            self._add(label, parameter_of(label, distribution))
            return [label]
        self._check_label(node)
        return [label for part in node.inputs() for label in self._labels(part)]

    def _choice(self, place: Any, *options: Any) -> list[str]:
        """Take in a choice; what is below its options is only active where they are chosen."""
        while place.name in ("int", "float"):
            (place,) = place.inputs()
        if place.name != "hyperopt_param":
            raise SpaceError(f"space: switch must be by hp.choice, hp.pchoice or hp.randint, got {place.name}")
        label, distribution = value_of(argument(place, "label")), argument(place, "obj")
        below = [set(self._labels(option)) for option in options]
        self._add(label, _choice_of(label, distribution, options))
        known = self._below.setdefault(label, [set() for _ in options])
        for labels, more in zip(known, below, strict=True):
            labels |= more
        return [label]

    def _add(self, label: Any, parameter: HPSpace) -> None:
        known = self._plain.setdefault(label, parameter)
        if known != parameter:
            raise SpaceError(f"{label}: label must stand for one distribution, got {known} and {parameter}")

    def _check_label(self, node: Any) -> None:
        from hyperopt.pyll.stochastic import implicit_stochastic_symbols

        if node.name in implicit_stochastic_symbols:
            raise SpaceError(f"space: {node.name} must have a label, as in hp.{node.name}('x', ...)")


def _read(tree: Any) -> _Tree:
    from hyperopt.pyll import as_apply

    with reading("space"):
        return _Tree(as_apply(tree))


def _choice_of(label: Any, distribution: Any, options: Sequence[Any]) -> ChoiceHP:
    """Return a choice: among the options where they are plain values, else among their places.

    Raises:
        SpaceError: There are not as many options as places.
    """
    n, weights = len(options), None
    if distribution.name == "categorical":
        weights = [float(weight) for weight in value_of(argument(distribution, "p"))]
        n_places = len(weights)
    elif distribution.name == "randint" and argument(distribution, "high") is None:
        n_places = int(value_of(argument(distribution, "low")))
    else:
        raise SpaceError(f"{label}: switch must be by hp.choice, hp.pchoice or hp.randint, got {distribution.name}")
    if n_places != n or not n:
        raise SpaceError(f"{label}: options must be as many as their places, got {n} and {n_places}")
    values: list[Any] = list(range(n))
    if all(is_fixed(option) for option in options):
        found = [value_of(option) for option in options]
        are_numbers_of_nan = any(isinstance(value, float) and math.isnan(value) for value in found)
        if len(first_places(found)) == n and _differ(found) and not are_numbers_of_nan:
            values = found
    return ChoiceHP(label, values, prior=weights)


def _differ(values: Sequence[Any]) -> bool:
    return not any(is_same(a, b) for i, a in enumerate(values) for b in values[:i])
