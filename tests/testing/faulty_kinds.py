"""Kinds of parameters with one fault each, for the checks that must find it, and one without a fault."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from autohpo import HPSpace


class SoundKind(HPSpace):
    """Odd whole numbers from low to high, as in the documentation of HPSpace."""

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


class RaisesOnStrangers(SoundKind):
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


FAULTS: dict[str, list[HPSpace]] = {
    "declares_its_width": [FlatCode("kernel", 1, 15)],
    "decodes_to_legal_values": [OpenEnd("kernel", 1, 15)],
    "decodes_to_plain_types": [NumpyValues("kernel", 1, 15)],
    "encodes_into_the_unit_cube": [CodesBeyondOne("kernel", 1, 15)],
    "decodes_what_it_encodes": [CodesTheNeighbour("kernel", 1, 15)],
    "refuses_strangers": [RaisesOnStrangers("kernel", 1, 15), Welcoming("kernel", 1, 15)],
    "keeps_values_in_json": [Fractions("kernel", 1, 15)],
    "keeps_itself_in_json": [KeepsACache("kernel", 1, 15)],
    "counts_its_values": [CountsOneMore("kernel", 1, 15), CountsOneLess("kernel", 1, 15)],
    "has_a_grid": [GridWithTwins("kernel", 1, 15), GridTooLong("kernel", 1, 31)],
    "draws_no_randomness": [DrawsItself("kernel", 1, 15), MovesItsPoints("kernel", 1, 15)],
}
"""By the name of the check that must find the fault."""
