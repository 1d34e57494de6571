"""Every check of a parameter goes red on a fault planted for it, and stays green where there is none."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from autohpo import HPSpace
from autohpo.testing import SPACE_CHECKS, ConformanceError, check_space


class SoundKind(HPSpace):
    """Odd integers from low to high, as in the documentation of HPSpace."""

    def __init__(self, name, low, high):
        super().__init__(name)
        self.low, self.high = low, high

    @property
    def n_values(self):
        return (self.high - self.low) // 2 + 1

    def decode(self, units):
        return [self.low + 2 * min(int(u * self.n_values), self.n_values - 1) for u in units[:, 0]]

    def encode(self, values):
        return np.array([[((v - self.low) // 2 + 0.5) / self.n_values] for v in values])

    def contains(self, value):
        return type(value) is int and value % 2 == 1 and self.low <= value <= self.high


class FlatCode(SoundKind):
    def encode(self, values):
        return super().encode(values)[:, 0]


class OpenEnd(SoundKind):
    def decode(self, units):
        return [self.low + 2 * int(u * self.n_values) for u in units[:, 0]]


class NumpyValues(SoundKind):
    def decode(self, units):
        return list(np.array(super().decode(units)))

    def contains(self, value):
        return isinstance(value, (int, np.integer)) and bool(value % 2 == 1 and self.low <= value <= self.high)


class CodesBeyondOne(SoundKind):
    def encode(self, values):
        return np.array([[(v - self.low) / 2 / (self.n_values - 2)] for v in values])


class CodesTheNeighbour(SoundKind):
    def encode(self, values):
        return np.clip(super().encode(values) + 1 / self.n_values, 0, 1)


class RaisesOnIllegalValues(SoundKind):
    def contains(self, value):
        return value % 2 == 1 and self.low <= value <= self.high


class Welcoming(SoundKind):
    def contains(self, value):
        return True


class Fractions(SoundKind):
    def decode(self, units):
        return [Fraction(v, 2) for v in super().decode(units)]

    def encode(self, values):
        return super().encode([int(2 * v) for v in values])

    def contains(self, value):
        return type(value) is Fraction and super().contains(int(2 * value))


class KeepsACache(SoundKind):
    def __init__(self, name, low, high):
        super().__init__(name, low, high)
        self.cache = list(range(low, high, 2))


class CountsOneMore(SoundKind):
    @property
    def n_values(self):
        return (self.high - self.low) // 2 + 2

    def decode(self, units):
        n = self.n_values - 1
        return [self.low + 2 * min(int(u * n), n - 1) for u in units[:, 0]]


class CountsOneLess(SoundKind):
    @property
    def n_values(self):
        return (self.high - self.low) // 2

    def decode(self, units):
        return [self.low + 2 * min(int(u * (self.n_values + 1)), self.n_values) for u in units[:, 0]]


class ForgetsACell(SoundKind):
    @property
    def edges(self):
        return np.arange(self.n_values) / (self.n_values - 1)


class CellsThatFall(SoundKind):
    @property
    def edges(self):
        return np.linspace(1.0, 0.0, self.n_values + 1)


class CellsOfAnotherLength(SoundKind):
    @property
    def edges(self):
        return (np.arange(self.n_values + 1) / self.n_values) ** 2


class CodesTheLowerEnd(SoundKind):
    @property
    def edges(self):
        return np.arange(self.n_values + 1) / self.n_values

    def encode(self, values):
        return super().encode(values) - 0.4 / self.n_values


class CellsBesideTheirEnds(SoundKind):
    def decode(self, units):
        return super().decode(np.clip(units + 0.2 / self.n_values, 0.0, 1.0))

    @property
    def edges(self):
        return np.arange(self.n_values + 1) / self.n_values


class GridWithTwins(SoundKind):
    def grid(self, steps):
        return [self.low] * steps


class GridTooLong(SoundKind):
    def grid(self, steps):
        return list(range(self.low, self.high + 1, 2))


class DrawsItself(SoundKind):
    def decode(self, units):
        return super().decode(np.random.default_rng().random(units.shape))


class MovesItsPoints(SoundKind):
    def decode(self, units):
        values = super().decode(units)
        units *= 0.5
        return values


FAULTS: dict[str, list[tuple[HPSpace, str]]] = {
    "declares_its_width": [(FlatCode("kernel", 1, 15), "of shape (205, 1), got (205,)")],
    "decodes_to_legal_values": [(OpenEnd("kernel", 1, 15), "a legal value at [1.], got 17")],
    "decodes_to_plain_types": [(NumpyValues("kernel", 1, 15), "got numpy.int64")],
    "encodes_into_the_unit_cube": [(CodesBeyondOne("kernel", 1, 15), "a point in [0, 1] for 15")],
    "decodes_what_it_encodes": [(CodesTheNeighbour("kernel", 1, 15), "wanted 1 to come back, got 3")],
    "rejects_illegal_values": [
        (RaisesOnIllegalValues("kernel", 1, 15), "got TypeError"),
        (Welcoming("kernel", 1, 15), "to be False, got True"),
    ],
    "keeps_values_in_json": [(Fractions("kernel", 1, 15), "cannot be read back from JSON")],
    "keeps_itself_in_json": [(KeepsACache("kernel", 1, 15), "KeepsACache: cannot be made from ['cache'")],
    "counts_its_values": [
        (CountsOneMore("kernel", 1, 15), "wanted all n_values = 9"),
        (CountsOneLess("kernel", 1, 15), "at most n_values = 7 values, got 8"),
    ],
    "keeps_to_its_cells": [
        (ForgetsACell("kernel", 1, 15), "wanted 8 values to have as many cells, got (8,)"),
        (CellsThatFall("kernel", 1, 15), "wanted edges that rise from 0 to 1"),
        (CellsOfAnotherLength("kernel", 1, 15), "to be encoded as its cell's middle"),
        (CodesTheLowerEnd("kernel", 1, 15), "to be encoded as its cell's middle"),
        (CellsBesideTheirEnds("kernel", 1, 15), "wanted the values of the cells"),
    ],
    "has_a_grid": [
        (GridWithTwins("kernel", 1, 15), "no value twice in grid(2), got [1, 1]"),
        (GridTooLong("kernel", 1, 31), "1 to 2 values in grid(2)"),
    ],
    "draws_no_randomness": [
        (DrawsItself("kernel", 1, 15), "again from the same point"),
        (MovesItsPoints("kernel", 1, 15), "decode to leave its points alone"),
    ],
}
"""By the name of the check that must find the fault: the parameter, and what the check must say of it."""

CHECKS = {check.name: check for check in SPACE_CHECKS}
PLANTED = [(name, *fault) for name, faults in FAULTS.items() for fault in faults]


def test_every_check_has_a_fault_planted_for_it():
    """No check may be one that nothing has ever failed."""
    assert list(FAULTS) == list(CHECKS)


@pytest.mark.parametrize(
    ("name", "hp", "text"), PLANTED, ids=[f"{name}-{type(hp).__name__}" for name, hp, _ in PLANTED]
)
def test_check_finds_the_fault_planted_for_it(name, hp, text):
    """The very check goes red, not only another one, and says why."""
    with pytest.raises(ConformanceError) as caught:
        check_space(hp)
    details = {result.name: result.detail for result in caught.value.results if result.state == "failed"}
    assert text in details[name]


def test_sound_kind_passes_every_check():
    """The faults are in the planted lines, not in what they are planted in."""
    assert {result.state for result in check_space(SoundKind("kernel", 1, 15))} == {"passed"}
