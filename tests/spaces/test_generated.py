"""Properties of whole spaces that hypothesis builds: every kind, children three deep, lists, priors and constraints."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace
from autohpo.spaces import Belief, BetaPrior, LinearConstraint, ListHP, NormalPrior, OrdinalHP, PermutationHP
from autohpo.spaces.tagged import is_same

CHOICES = [None, True, 1, "1", (1, 2)]
WEIGHTS = st.lists(st.integers(0, 9), min_size=8, max_size=8).filter(any)
SEEDS = st.integers(0, 2**32 - 1)
UNHURRIED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


class Builder:
    """Draws parameters with names that differ."""

    def __init__(self, draw, is_finite):
        self.draw, self.is_finite, self.n = draw, is_finite, 0

    def name(self):
        self.n += 1
        return f"p{self.n}"

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def prior(self, value, n=None):
        """Some prior for a scale with units, on which `value` stands; one weight for each of n values."""
        weights = self.draw(WEIGHTS)[: n or 8]
        return self.pick(
            None,
            None,
            Belief(value, "high"),
            NormalPrior(value, 0.5),
            BetaPrior(2, 5),
            weights if any(weights) else None,
        )

    def number(self, item=False):
        name = "item" if item else self.name()
        kind = self.pick("int", "log int", "step", "log step", "float", "log float")
        n, low = self.draw(st.integers(1, 4)), self.draw(st.integers(1, 5))
        if kind == "int":
            return RangeHP(name, low, low + n, prior=self.prior(low + 1, n + 1))
        if kind == "log int":
            return LogRangeHP(name, low, low + n, prior=self.prior(low + 1, n + 1))
        if kind == "step" or (kind == "float" and self.is_finite):
            return RangeHP(name, low / 10, (low + 2 * n) / 10, step=0.2, prior=self.prior(low / 10, n + 1))
        if kind == "log step" or self.is_finite:
            return LogRangeHP(name, low, low + 3 * n, step=3, prior=self.prior(low, n + 1))
        if kind == "float":
            return RangeHP(name, -float(low), float(n), prior=self.prior(0.5))
        return LogRangeHP(name, 10.0**-low, 10.0**n, prior=self.prior(1.0))

    def choice(self, depth, item=False):
        n = self.draw(st.integers(1, 4))
        choices = self.draw(st.permutations(CHOICES))[:n]
        children = {} if item or not depth else [self.some(depth - 1, 0, 2) for _ in choices]
        prior = self.pick(None, Belief(choices[0]), [1] + self.draw(WEIGHTS)[1:n])
        return ChoiceHP("item" if item else self.name(), choices, children=children, prior=prior)

    def one(self, depth):
        kind = self.pick("number", "choice", "choice", "ordinal", "permutation", "fixed", "list")
        if kind == "number":
            return self.number()
        if kind == "choice":
            return self.choice(depth)
        if kind == "ordinal":
            values = self.draw(st.permutations(CHOICES))[: self.draw(st.integers(1, 4))]
            return OrdinalHP(self.name(), values, prior=self.pick(None, Belief(values[0])))
        if kind == "permutation":
            return PermutationHP(self.name(), CHOICES[: self.draw(st.integers(1, 3))])
        if kind == "fixed":
            return FixedHP(self.name(), self.pick(*CHOICES))
        item = self.pick(self.number(item=True), self.choice(0, item=True))
        length = self.pick(1, 2, "length", "3 - 2 * (length - 1)")
        return ListHP(self.name(), item, length, max_length=length if isinstance(length, int) else 3)

    def some(self, depth, least, most):
        return [self.one(depth) for _ in range(self.draw(st.integers(least, most)))]


@st.composite
def spaces(draw, is_finite=False):
    """A space with some children, lists, conditions and constraints."""
    builder = Builder(draw, is_finite)
    roots = [RangeHP("length", 1, 2), *builder.some(3, 1, 3)]
    conditions = {hp.name: "length > 1" for hp in roots[1:] if builder.pick(True, False, False)}
    whole = [hp.name for hp in roots if isinstance(hp, RangeHP) and hp.is_int]
    constraints = []
    if builder.pick(True, False):
        constraints.append(
            LinearConstraint(dict.fromkeys(whole, 1), upper=sum(hp.high for hp in roots if hp.name in whole) - 1)
        )
    return SearchSpace(roots, conditions=conditions, constraints=constraints)


def same(a, b):
    """Whether two configurations are one, in names, values and types."""
    return list(a) == list(b) and all(is_same(a[name], b[name]) for name in a)


def close(a, b):
    """The same, but for rounding: of 2**-53, magnified by a prior's uniform share of 1e-3 and a scale of 10 decades."""
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return is_same(a, b) or (type(a) is type(b) is float and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9))


@UNHURRIED
@given(spaces(), SEEDS)
def test_draws_are_legal_and_come_back(space, seed):
    """Every draw passes the space's own check, is coded in the cube, and is decoded again."""
    hps = space.sample(np.random.default_rng(seed), 20)
    units = space.encode(hps)
    assert units.shape == (20, space.n_columns)
    assert ((units >= 0) & (units <= 1)).all()
    for hp, again in zip(hps, space.decode(units), strict=True):
        space.check(hp)
        assert space.is_allowed(hp)
        assert list(hp) == list(again) == list(space.active(hp))
        assert all(close(hp[name], again[name]) for name in hp)


@UNHURRIED
@given(spaces(), SEEDS)
def test_the_mask_says_what_a_configuration_holds(space, seed):
    """A column is active where its parameter is there, and of a list where the entry is; elsewhere stands .5."""
    hps = space.decode(np.random.default_rng(seed).random((20, space.n_columns)))
    units, mask = space.encode(hps), space.mask(hps)
    for hp, row, code in zip(hps, mask, units, strict=True):
        wanted = []
        for one in space:
            if isinstance(one, ListHP):
                n = len(hp.get(one.name, []))
                wanted += [i < n for i, item in enumerate(one.items) for _ in range(item.width)]
            else:
                wanted += [one.name in hp] * one.width
        assert row.tolist() == wanted
        assert (code[~row] == 0.5).all()


@UNHURRIED
@given(spaces(), SEEDS)
def test_a_canonical_point_stands_where_it_is(space, seed):
    """Twice is once: exactly in columns of cells, and but for rounding elsewhere."""
    units = space.canonical(np.random.default_rng(seed).random((20, space.n_columns)))
    again = space.canonical(units)
    np.testing.assert_allclose(again, units, atol=1e-9, rtol=0)
    for column, edges in enumerate(space.edges):
        if edges is not None:
            assert (again[:, column] == units[:, column]).all()


@UNHURRIED
@given(spaces(), SEEDS)
def test_points_on_both_sides_of_an_edge_belong_to_the_cells_beside_it(space, seed):
    """In every column that has cells, wherever the others are."""
    row = np.random.default_rng(seed).random(space.n_columns)
    for column, edges in enumerate(space.edges):
        if edges is None:
            continue
        assert edges[0] == 0
        assert edges[-1] == 1
        lengths = np.diff(edges)
        assert (lengths > 0).all()
        middles = (edges[1:] + edges[:-1]) / 2
        for units in (edges[:-1] + 1e-6 * lengths, edges[1:] - 1e-6 * lengths):
            points = np.repeat(row[None, :], len(units), axis=0)
            points[:, column] = units
            hps = space.decode(points)
            is_active = space.mask(hps)[:, column]
            np.testing.assert_allclose(space.encode(hps)[is_active, column], middles[is_active], atol=1e-12)


@UNHURRIED
@given(spaces(), SEEDS)
def test_spaces_and_configurations_come_back_from_json_pickle_and_copies(space, seed):
    """Equal in everything, and drawing the same."""
    hps = space.sample(np.random.default_rng(seed), 5)
    text = json.dumps(space.to_dict(), allow_nan=False)
    for again in (SearchSpace.from_dict(json.loads(text)), pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert again == space
        assert hash(again) == hash(space)
        assert repr(again) == repr(space)
        assert all(map(same, again.sample(np.random.default_rng(seed), 5), hps))
    for hp in hps:
        again = space.from_json(json.loads(json.dumps(space.to_json(hp), allow_nan=False)))
        assert same(again, hp)
        assert space.key(again) == space.key(hp)


def values_of(hp):
    """All values of a parameter that can be counted."""
    if isinstance(hp, ListHP):
        return [list(row) for row in itertools.product(*(item.grid(item.n_values) for item in hp.items))]
    return hp.grid(hp.n_values)


@UNHURRIED
@given(spaces(is_finite=True))
def test_a_finite_space_has_the_configurations_of_its_product(space):
    """Brute force: the product of all values, trimmed to what is active, without what the constraints forbid."""
    assume(math.prod(hp.n_values for hp in space) <= 3000)
    product = (dict(zip(space.names, row, strict=True)) for row in itertools.product(*map(values_of, space)))
    wanted = {space.key(hp) for hp in map(space.trim, product) if space.is_allowed(hp)}
    walked = list(space.configurations())
    for hp in walked:
        space.check(hp)
    keys = [space.key(hp) for hp in walked]
    assert len(keys) == len(set(keys)) == len(wanted) == space.n_configurations
    assert set(keys) == wanted


@UNHURRIED
@given(spaces(is_finite=True), SEEDS)
def test_two_configurations_have_one_key_only_if_they_are_one(space, seed):
    """And one point only then: a model sees no two configurations in one place."""
    hps = space.decode(np.random.default_rng(seed).random((30, space.n_columns)))
    points = space.encode(hps)
    for (a, p), (b, q) in itertools.combinations(zip(hps, points, strict=True), 2):
        assert (space.key(a) == space.key(b)) is same(a, b) is bool((p == q).all())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=6).filter(any), SEEDS)
def test_weighted_choices_are_drawn_by_their_weights(weights, seed):
    """Within 6 standard errors, which a right sampler leaves once in 5e8; a thousandth is uniform."""
    n = 2000
    hp = ChoiceHP("c", range(len(weights)), prior=weights)
    drawn = hp.decode(np.random.default_rng(seed).random((n, 1)))
    for value, weight in enumerate(weights):
        mass = 0.999 * weight / sum(weights) + 0.001 / len(weights)
        assert abs(drawn.count(value) / n - mass) <= 6 * math.sqrt(mass * (1 - mass) / n) + 1 / n
        assert hp.edges[value + 1] - hp.edges[value] == pytest.approx(mass, abs=1e-12)
