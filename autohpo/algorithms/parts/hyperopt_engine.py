"""hyperopt as an engine behind our interface: its space, its trials and its seeds, made from ours."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.hyperopt_shapes import adapt_to_numpy
from autohpo.history import Cursor, History
from autohpo.spaces import HPSpace, LogRangeHP, RangeHP, SearchSpace
from autohpo.trial import Running, Trial

if TYPE_CHECKING:
    from hyperopt.base import Domain, Trials


Suggest = Callable[[list[int], "Domain", "Trials", int], list[dict[str, Any]]]
"""The interface of an algorithm in hyperopt: new ids, space, history and seed to documents of new trials."""

LARGEST_SEED = 2**31 - 1
"""The bound of the seeds of suggestions: ``fmin`` draws them below this."""

_REDRAWS = 64


@dataclass(eq=False, kw_only=True)
class HyperoptSearch(BaseHPOptimizer, ABC):
    """The base of hyperopt's algorithms: suggests what ``hyperopt.fmin`` does with the same seed and history.

    Running and failed trials count as hyperopt counts them: they have no loss, so they are worse than every other. A
    suggestion that breaks the space's constraints is drawn again with another seed, and at last from the prior.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    @abstractmethod
    def _algorithm(self) -> Suggest:
        """Return hyperopt's function, with this algorithm's options."""

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._view = _View(self.history, self.seed or 0) if self.space.n_columns else None  # it has no empty space

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        view, algorithm = self._view, self._algorithm()
        if view is None:
            return self.space.sample(self.rng, 1)[0]
        view.update()
        hp = view.suggest(algorithm, self.number, view.seed_of(self.number))
        for _ in range(_REDRAWS if self.space.constraints else 0):
            if self.space.allows([hp])[0]:
                return hp
            hp = view.suggest(algorithm, self.number, int(self.rng.integers(LARGEST_SEED)))
        return self.space.sample(self.rng, 1)[0] if self.space.constraints else hp


class _View:
    """A search as hyperopt sees it: a cache of the space and of the history, which pickling leaves behind."""

    def __init__(self, history: History, seed: int) -> None:
        from hyperopt.base import Domain, Trials

        adapt_to_numpy()
        self._history, self._space, self._seed = history, history.space, seed
        self._cursor = Cursor(history)
        self._parts = _parts_of(self._space)
        self._domain: Domain = Domain(_no_objective, _expression(self._space, self._parts))
        self._trials: Trials = Trials()
        self._documents: dict[int, dict[str, Any]] = {}  # hyperopt's trials by their numbers
        self._seeds: IntArray = np.empty(0, dtype=np.int64)

    def __reduce__(self) -> tuple[type[_View], tuple[History, int]]:
        """Pickle by what it was made from: the rest follows from the history, and hyperopt's graphs are deep."""
        return type(self), (self._history, self._seed)

    def seed_of(self, number: int) -> int:
        """What ``fmin(rstate=default_rng(seed))`` draws for a suggestion: of two sequences the longer begins alike."""
        if number >= len(self._seeds):
            self._seeds = np.random.default_rng(self._seed).integers(LARGEST_SEED, size=max(2 * number, 64))
        return int(self._seeds[number])

    def update(self) -> None:
        """Bring hyperopt's trials up to date."""
        step = self._cursor.step()
        if step.asked:
            self._trials.insert_trial_docs(self._made(step.asked))
            self._trials.refresh()
            self._documents |= {document["tid"]: document for document in self._trials.trials[-len(step.asked) :]}
        for trial in step.told:
            document = self._documents[trial.number]
            document["state"] = 2  # hyperopt's JOB_STATE_DONE
            document["result"] = {"status": "fail"} if trial.score is None else {"status": "ok", "loss": -trial.score}

    def _made(self, asked: Sequence[Trial | Running]) -> list[dict[str, Any]]:
        """hyperopt's documents of trials, as running ones."""
        hps = [item.hp for item in asked]
        units, mask = self._space.encode(hps), self._space.mask(hps)
        documents: list[dict[str, Any]] = []
        for i, item in enumerate(asked):
            tid = item.number
            vals: dict[str, list[float]] = {label: [] for label in self._domain.params}
            for name, part in self._parts.items():
                vals |= {label: [val] for label, val in part.write(item.hp.get(name), units[i], mask[i])}
            idxs = {label: [tid] * len(found) for label, found in vals.items()}
            misc = {"tid": tid, "cmd": self._domain.cmd, "workdir": None, "idxs": idxs, "vals": vals}
            documents += self._trials.new_trial_docs([tid], [None], [{"status": "running"}], [misc])
            documents[-1]["state"] = 1  # hyperopt's JOB_STATE_RUNNING
        return documents

    def suggest(self, algorithm: Suggest, number: int, seed: int) -> dict[str, Any]:
        """The configuration that an algorithm of hyperopt suggests."""
        # It takes logarithms of probabilities that are 0. What numpy deprecates in it is no concern of a user's.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            document = algorithm([number], self._domain, self._trials, seed)[0]
        vals = {label: found[0] for label, found in document["misc"]["vals"].items() if len(found)}
        units = np.full((1, self._space.n_columns), 0.5)
        exact: dict[str, Any] = {}
        for part in self._parts.values():
            exact |= part.read(vals, units[0])
        hp = self._space.decode(units)[0]
        return hp | {name: value for name, value in exact.items() if name in hp}


class _Part(ABC):
    """One parameter on both sides.

    Args:
        hp: The parameter.
        start: Number of its first column in the unit cube.
    """

    def __init__(self, hp: HPSpace, start: int) -> None:
        self.hp, self.start = hp, start

    @abstractmethod
    def nodes(self, options: Sequence[Any]) -> dict[str, Any]:
        """hyperopt's expression for each of its own variables, by label.

        Args:
            options: What each of the values of a choice stands for.
        """

    @abstractmethod
    def write(self, value: Any, units: FloatArray, mask: BoolArray) -> Iterator[tuple[str, float]]:
        """Label and value of each variable that is active in a configuration.

        Args:
            value: The value of the parameter; None where it is inactive.
            units: ``(d,)`` the configuration in the unit cube.
            mask: ``(d,)`` which columns are active.
        """

    @abstractmethod
    def read(self, vals: Mapping[str, float], units: FloatArray) -> dict[str, Any]:
        """Write the variables that hyperopt gave a value to into ``(d,)`` `units`.

        Returns:
            The parameter's value by its name, where hyperopt has it to the last digit.
        """


class _Number(_Part):
    """A range or a log range, of floats or of integers: hyperopt's value is the parameter's."""

    hp: RangeHP | LogRangeHP

    def nodes(self, options: Sequence[Any]) -> dict[str, Any]:
        """Integers begin half a step outside the ends, so that both ends are as likely as they should be."""
        from hyperopt import hp

        name, is_int = self.hp.name, self.hp.is_int
        low, high = (self.hp.low - 0.5, self.hp.high + 0.5) if is_int else (self.hp.low, self.hp.high)
        if isinstance(self.hp, RangeHP):
            return {name: hp.uniformint(name, low, high) if is_int else hp.uniform(name, low, high)}
        low, high = math.log(low), math.log(high)
        return {name: hp.qloguniform(name, low, high, 1) if is_int else hp.loguniform(name, low, high)}

    def write(self, value: Any, units: FloatArray, mask: BoolArray) -> Iterator[tuple[str, float]]:
        """The value."""
        if mask[self.start]:
            yield self.hp.name, float(value)

    def read(self, vals: Mapping[str, float], units: FloatArray) -> dict[str, Any]:
        """The value, which rounding may have put beyond an end."""
        if self.hp.name not in vals:
            return {}
        value = min(max(float(vals[self.hp.name]), self.hp.low), self.hp.high)
        value = round(value) if self.hp.is_int else value
        units[self.start] = self.hp.encode([value])[0, 0]
        return {self.hp.name: value}


class _Column:
    """One column of the unit cube as a variable of hyperopt's.

    An unordered column is a choice, one of equally long cells the number of the cell, any other one uniform.

    Args:
        label: The label of the variable.
        edges: ``(V + 1,)`` ends of the values' cells, where they can be counted.
        is_ordered: Whether the order of the values means something.
    """

    def __init__(self, label: str, edges: FloatArray | None, is_ordered: bool) -> None:
        shares = None if edges is None else np.diff(edges)
        self.label, self.is_ordered = label, is_ordered
        self.is_even = shares is not None and bool(np.allclose(shares, shares[0], rtol=1e-9, atol=0.0))
        self.edges = None if is_ordered and not self.is_even else edges

    def node(self, options: Sequence[Any]) -> Any:
        """hyperopt's expression."""
        from hyperopt import hp

        if self.edges is None:
            return hp.uniform(self.label, 0.0, 1.0)
        n = len(self.edges) - 1
        if self.is_ordered:
            return hp.quniform(self.label, -0.5, n - 0.5, 1)
        if self.is_even:
            return hp.choice(self.label, options or range(n))
        return hp.pchoice(self.label, list(zip(np.diff(self.edges).tolist(), options or range(n), strict=True)))

    def to_val(self, unit: float) -> float:
        """hyperopt's value of an encoded one."""
        return unit if self.edges is None else int(np.searchsorted(self.edges[1:-1], unit, side="right"))

    def to_unit(self, val: float) -> float:
        """The encoded value of hyperopt's."""
        if self.edges is None:
            return min(max(float(val), 0.0), 1.0)
        k = min(max(round(float(val)), 0), len(self.edges) - 2)
        return float(self.edges[k] + self.edges[k + 1]) / 2


class _Coded(_Part):
    """Any other parameter, through its encoding: one variable for each column."""

    def __init__(self, hp: HPSpace, start: int, edges: Sequence[FloatArray | None], taken: set[str]) -> None:
        super().__init__(hp, start)
        labels = [hp.name] if len(edges) == 1 else [f"{hp.name}[{i}]" for i in range(len(edges))]
        while len(labels) > 1 and taken & set(labels):  # another parameter may be named like an entry of a list
            labels = [f"{label}'" for label in labels]
        even = None if not hp.levels else np.arange(hp.levels + 1) / hp.levels
        ends = [even if e is None else e for e in edges]
        self.variables = [_Column(*pair, not hp.levels) for pair in zip(labels, ends, strict=True)]

    def nodes(self, options: Sequence[Any]) -> dict[str, Any]:
        """One expression for each column."""
        return {variable.label: variable.node(options) for variable in self.variables}

    def write(self, value: Any, units: FloatArray, mask: BoolArray) -> Iterator[tuple[str, float]]:
        """The columns that are active."""
        for column, variable in enumerate(self.variables, self.start):
            if mask[column]:
                yield variable.label, variable.to_val(float(units[column]))

    def read(self, vals: Mapping[str, float], units: FloatArray) -> dict[str, Any]:
        """The columns; the value is decoded with all the others."""
        for column, variable in enumerate(self.variables, self.start):
            if variable.label in vals:
                units[column] = variable.to_unit(vals[variable.label])
        return {}


def _parts_of(space: SearchSpace) -> dict[str, _Part]:
    """The searched parameters by name, in the order of the space."""
    parts: dict[str, _Part] = {}
    start, taken = 0, set(space.names)
    for hp in space:
        is_plain = type(hp) in (RangeHP, LogRangeHP) and hp.step is None and hp.prior is None  # type: ignore[attr-defined]
        if hp.width:
            edges = space.edges[start : start + hp.width]
            parts[hp.name] = _Number(hp, start) if is_plain else _Coded(hp, start, edges, taken)
        start += hp.width
    return parts


def _expression(space: SearchSpace, parts: Mapping[str, _Part]) -> dict[str, Any]:
    """The space as hyperopt's: a choice's children stand below it, so that it draws only those that are active.

    Parameters that depend on something else are drawn always; where they are inactive nobody learns from them.
    """
    made: dict[str, dict[str, Any]] = {}

    def nodes(hp: HPSpace) -> dict[str, Any]:
        """Of a parameter and, below it, of its children; one expression each, however often it is used."""
        if hp.name not in made:
            below = getattr(hp, "children", ())
            options = [{k: v for hp in group for k, v in nodes(hp).items()} or i for i, group in enumerate(below)]
            alone = options[0] if options and not hp.width and isinstance(options[0], dict) else {}
            made[hp.name] = parts[hp.name].nodes(options) if hp.width else alone
        return made[hp.name]

    return {label: node for hp in space.roots for label, node in nodes(hp).items()}


def _no_objective(hp: Any) -> float:
    """Stands where hyperopt wants the function; it is never called."""
    raise NotImplementedError
