"""A row of the register of faults: what is promised, and what shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from counts import Counts, faults
from forms import Form


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the register.

    Attributes:
        name: R1 to R35.
        fault: What goes wrong.
        promise: What must hold then, with its number.
        run: Carries it out; None where that is impossible here, which `note` explains.
        unit: What is counted; so many must have come about.
        short: How many in the short form.
        long: How many in the long form.
        most: The largest value that a count may have, where zero is not asked for.
        most_long: The same for the long form alone, whose figures come from enough trials.
        plant: The fault of :mod:`planted` that must turn the row red.
        proof: Tests that prove more of it in `make test`.
        note: What is weaker than promised, or why it is not run.
        is_heavy: Whether `make test` leaves it to other tests, as its short form takes long or is a suite itself.
    """

    name: str
    fault: str
    promise: str
    run: Form | None = None
    unit: str = "tests"
    short: int = 1
    long: int = 1
    most: Mapping[str, float] = field(default_factory=dict)
    most_long: Mapping[str, float] = field(default_factory=dict)
    plant: str = ""
    proof: tuple[str, ...] = ()
    note: str = ""
    is_heavy: bool = False

    def missed(self, counts: Counts, n: int, *, is_long: bool) -> Counts:
        """Return the counts that are not as promised."""
        wrong = faults(counts)
        if counts.get(self.unit, 0) < n:
            wrong[self.unit] = counts.get(self.unit, 0)
        for name, most in {**self.most, **(self.most_long if is_long else {})}.items():
            value = counts.get(name)
            if value is None or value > most:
                wrong[name] = value
        return wrong
