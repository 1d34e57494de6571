"""Fuzz of the space layer: random spaces, odd values, every public function; anything but a typed error is a fault.

    python benchmarks/fuzz_spaces.py [EPISODES [SEED]]

Prints how many episodes there were, how many raised typed errors, each fault once, and the slowest episodes.
"""

from __future__ import annotations

import collections
import json
import math
import pickle
import sys
import time
import traceback
import warnings
from typing import Any

import numpy as np

from autohpo import (
    AutoHPOError,
    ChoiceHP,
    FixedHP,
    LinearConstraint,
    ListHP,
    LogRangeHP,
    OrdinalHP,
    PermutationHP,
    RangeHP,
    SearchSpace,
    build_hpo_from_name,
)
from autohpo.spaces import Belief, BetaPrior, NormalPrior, TiedHP, WeightedPrior
from autohpo.spaces.digest import digest_of
from autohpo.spaces.identity import as_kept, check_identity


class Silent:
    """An object that cannot be shown, compared, counted, or taken for true or false."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    __bool__ = __len__ = __repr__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


ODD: list[Any] = [
    *(
        Silent(),
        [Silent()],
        10**5000,
        [10**5000],
        -(10**5000),
        "\ud800",
        "a\0b",
        "x" * 3000,
        np.array([]),
        np.ma.masked,
    ),
    *(None, True, False, 0, 1, -1, 3, 10**400, 2**53, 0.0, -0.0, 0.5, 0.1 + 0.2, 1e-320, 1e308, math.nan, math.inf),
    *(1j, "", "x", "lambda", "a b", "1", b"x", [], [1], [1, 2.0], (1, 2), {}, {"x": 1}, {1, 2}, object(), len, int),
    *(
        np.float64(0.5),
        np.float32(0.1),
        np.int64(2),
        np.int8(1),
        np.bool_(1),
        np.str_("a"),
        np.array(1.0),
        np.arange(3),
    ),
    *(np.array(["a"], dtype=object), np.float64("nan"), np.datetime64("2020"), np.zeros((2, 2)), lambda hp: hp != {}),
    *(range(3), slice(1), ..., [[1], [2, 3]], "`", "x > ", "1/0", "x0 + x1", "len(x0)", "x0 ** 1000"),
]
FORMULAS = [
    *("x0 < x1", "x0 + x1 <= 0.3", "x0 == x1", "x0 * x1 != 0.02", "x0 / x1 > 2", "x0 // x1 == 1", "x0 % 0.1 == 0"),
    *(
        "x0 in [0.1, 1, 'a']",
        "not x0",
        "x0 and x1",
        "x0 or x1 > 3",
        "x0[0] > 1",
        "len(x0) > 1",
        "sum(x0) < 3",
        "x0 is None",
    ),
    *(
        "log(x0) < 0",
        "sqrt(x1) > 1",
        "max(x0, x1) < 1",
        "min(x0) < 1",
        "x0 == 'a'",
        "x0 != None",
        "1 == 2",
        "1 == 1",
        "x9 > 1",
    ),
    *("-x0 > -1", "x0 ** 2 + x1 ** 2 < 1", "abs(x0 - x1) < 1e-3", "round(x0) == 1", "int(x1) == x1", "0 < x0 < x1 < 1"),
    *("x0 > 10 and x1 > 10", "lambda > 1", "x0 ** x1 > 1", "1 / x0 > 2 or x1", "x0 + 'a' == 1", "1", "0.5"),
]

SOUND = ["x0 != x1", "x0 == 1 or x1 != 2", "not x0 == x1", "x0 in [0.1, 1, 'a']", "x1 != None", "x0 not in ['a', 0.5]"]


class Fuzz:
    """One episode after another, each from a seed of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.p = float(self.rng.choice([0.0, 0.0, 0.02, 0.2]))  # how many arguments are odd

    def pick(self, items: Any) -> Any:
        """Return one of several items."""
        return items[int(self.rng.integers(len(items)))]

    def odd(self, chance: float, value: Any) -> Any:
        """Return a value, or by chance an odd one in its place."""
        return self.pick(ODD) if self.rng.random() < chance else value

    def values(self) -> list[Any]:
        """Return values to choose from."""
        pools: list[list[Any]] = [
            *(
                ["a", "b", "c"],
                [1, 2, 4, 8],
                [0.1, 0.2, 0.3],
                [True, False, None],
                [1, True, 1.0, "1"],
                [(1, 2), [1, 2]],
            ),
            *([len, int, lambda: 1], list(np.linspace(0, 1, 3)), list(range(60)), ODD),
        ]
        pool = list(self.pick(pools))
        self.rng.shuffle(pool)  # type: ignore[arg-type]
        return pool[: int(self.rng.integers(1, len(pool) + 1))]

    def formula(self) -> str:
        """Return a formula; where nothing is odd, one that suits most spaces."""
        return str(self.pick(FORMULAS if self.p else SOUND))

    def prior(self) -> Any:
        """Return a prior, or mostly none."""
        if not self.p:
            return None
        made = [None] * (6 if self.p else 60) + [
            lambda: Belief(self.odd(0.3, 0.2)),
            lambda: NormalPrior(self.odd(0.2, 0.2), self.odd(0.2, 0.1)),
        ]
        made += [
            lambda: BetaPrior(self.odd(0.2, 2), 3),
            lambda: WeightedPrior(self.odd(0.2, [1, 2, 3])),
            lambda: [1, 2, 3],
        ]
        choice = self.pick(made)
        return choice() if choice else None

    def parameter(self, name: str, depth: int = 2) -> Any:
        """Return a parameter of any kind."""
        p = self.p
        kind = int(self.rng.integers(9 if depth else 6))
        kind = 8 if kind == 7 and not self.p else kind
        match kind:
            case 0 | 1:
                low, high, step = self.pick(
                    [(0.0, 1.0, None), (0.0, 0.3, 0.1), (1, 9, None), (1, 9, 2), (-1.0, 1.0, 0.5), (0, 5000, None)]
                )
                return RangeHP(self.odd(p, name), self.odd(p, low), self.odd(p, high), self.odd(p, step), self.prior())
            case 2:
                low, high, step = self.pick([(1e-4, 1.0, None), (1, 1000, None), (0.1, 1.0, 0.1)])
                return LogRangeHP(name, self.odd(p, low), self.odd(p, high), self.odd(p, step), self.prior())
            case 3:
                return OrdinalHP(name, self.odd(p, self.values()), self.prior())
            case 4:
                return FixedHP(name, self.pick(ODD))
            case 5:
                return PermutationHP(name, self.odd(p, self.values()))
            case 6:
                length = self.odd(self.p, self.pick([4, 4, "x0" if name != "x0" else 4, "2", "round(3 * x0)", "3 - 2"]))
                n = None if isinstance(length, int) else self.odd(p, 4)
                return ListHP(name, self.parameter("e", 0), length, n)
            case 7:
                return TiedHP(
                    name, self.odd(p, "x0"), self.odd(p, {1: "a", 2: "b", "a": 3, 0.1: np.float64(1), 0.2: 1})
                )
        choices = self.values()
        children: Any = {}
        if self.rng.random() < 0.5:
            children = [[self.parameter(name + "_child", depth - 1)], *([] for _ in choices[1:])]
        return ChoiceHP(name, self.odd(p, choices), self.odd(p, children), self.prior())

    def space(self) -> SearchSpace:
        """Return a space."""
        parameters = [self.parameter(f"x{i}") for i in range(int(self.rng.integers(2, 6)))]
        conditions = {parameters[-1].name: self.formula()} if self.rng.random() < 0.15 and len(parameters) > 2 else None
        constraints: list[Any] = []
        if self.rng.random() < 0.4:
            constraints = [self.odd(self.p, self.formula()) for _ in range(int(self.rng.integers(1, 3)))]
        if self.rng.random() < 0.1:
            constraints.append(LinearConstraint({"x0": self.odd(0.1, 1), "x1": 1}, upper=self.odd(0.1, 0.5)))
        return SearchSpace(
            self.odd(self.p / 2, parameters), conditions=conditions, constraints=self.odd(self.p / 2, constraints)
        )

    def use(self, space: SearchSpace) -> None:
        """Call every function of a space, and check what must hold between them."""
        before = pickle.dumps(space) if _can_pickle(space) else None
        units = self.rng.random((12, space.n_columns))
        hps = space.decode(units)
        points = space.encode(hps)
        assert space.decode(points) is not None
        assert np.allclose(space.encode(space.decode(points)), points)
        space.mask(hps), space.n_configurations, space.optional, space.edges, space.levels, repr(space), hash(space)
        data = space.to_dict()
        json.dumps(data)
        assert as_kept(data, json.loads(json.dumps(data))) == data
        for hp in hps:
            back = space.from_json(json.loads(json.dumps(space.to_json(hp))))
            assert space.key(back) == space.key(hp)
            _typed(space.checked, hp)
            _typed(space.checked, {name: self.odd(0.3, value) for name, value in hp.items()})
        wanted = _typed(lambda: [space.is_allowed(hp) for hp in hps])
        for rows in (_typed(space.allows, hps), _typed(space.allowed, units)):
            assert wanted is None or rows.tolist() == wanted  # an error may be one of a row that others forbid
        for hp in _typed(space.sample, np.random.default_rng(0), 5) or []:
            assert _typed(space.checked, hp) is not None
        for parameter in space.parameters:
            parameter.grid(4), parameter.axes(3), parameter.n_values
            for odd in ODD:
                parameter.canonical(odd), parameter.contains(odd)
        _typed(check_identity, space)
        _typed(SearchSpace.from_dict, json.loads(json.dumps(data)))
        assert before is None or pickle.dumps(space) == before

    def search(self, space: SearchSpace) -> None:
        """Run a short search with points."""
        name = self.pick(["random", "grid", "tpe", "quasi_random", "regularized_evolution"])
        found = _typed(space.sample, self.rng, 1)
        hp = found[0] if found else {}
        point = self.odd(0.1, {key: self.odd(0.1, value) for key, value in hp.items()})
        hpo = build_hpo_from_name(name, space, points=[self.odd(0.1, point), (point, 1.0)], seed=0)
        seen = set()
        for _ in range(8):
            suggestion = hpo.ask()
            space.check(suggestion)
            key = space.key(suggestion)
            assert space.n_configurations is None or key not in seen or name == "grid"
            seen.add(key)
            hpo.tell(suggestion, 1.0)


def _can_pickle(space: SearchSpace) -> bool:
    try:
        pickle.dumps(space)
    except Exception:
        return False
    return True


def _typed(act: Any, *args: Any) -> Any:
    try:
        return act(*args)
    except AutoHPOError:
        return None


def main(episodes: int, seed: int) -> int:
    warnings.simplefilter("error")
    typed, ended, slow, faults = 0, 0, [], collections.Counter[str]()
    kinds = collections.Counter[str]()
    for episode in range(episodes):
        fuzz, started = Fuzz(seed + episode), time.process_time()
        try:
            space = fuzz.space()
            fuzz.use(space)
            fuzz.search(space)
            ended += 1
        except AutoHPOError as error:
            typed += 1
            kinds[type(error).__name__] += 1
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            faults[
                f"{type(error).__name__} {str(error)[:100]} at {place.filename.rpartition('/')[2]}:{place.lineno}"
            ] += 1
            if faults.total() <= 3:
                print(f"episode {seed + episode}")
                traceback.print_exc()
        slow.append((time.process_time() - started, seed + episode))
    for odd in ODD:
        digest_of(odd)
    print(f"{episodes} episodes: {ended} to the end, {typed} typed errors {dict(kinds)}, {faults.total()} faults")
    for text, n in faults.most_common():
        print(f"  {n} x {text}")
    print("slowest:", ", ".join(f"{s:.2f} s (seed {one})" for s, one in sorted(slow, reverse=True)[:3]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(
        main(*(int(arg) for arg in [*sys.argv[1:], 300, 0][:2]))
        if len(sys.argv) < 3
        else main(int(sys.argv[1]), int(sys.argv[2]))
    )
