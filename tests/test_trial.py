"""Trial, Suggestion, TrialState, and what counts as a performance."""

from __future__ import annotations

import copy
import decimal
import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from autohpo import InvalidPerfError, Suggestion, Trial, TrialState
from autohpo.errors import short
from autohpo.objectives import as_perf, incumbent, pareto
from autohpo.trial import Outcome


def ended(perfs, **more):
    """The outcome of an attempt that was complete."""
    return Outcome(TrialState.COMPLETE, perfs, **more)


class Tensor:
    """What as_perf knows of a tensor, without torch."""

    def __init__(self, value, ndim=0):
        self.value, self.ndim = value, ndim

    def item(self):
        return self.value


class Mute:
    """An object that cannot even be shown."""

    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "perf"),
    [
        (0.5, 0.5),
        (3, 3.0),
        (True, 1.0),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (Fraction(1, 4), 0.25),
        (decimal.Decimal("0.125"), 0.125),
        (np.float32(0.5), 0.5),
        (np.float16(2.0), 2.0),
        (np.longdouble(0.75), 0.75),
        (np.int8(-7), -7.0),
        (np.bool_(True), 1.0),
        (np.array(0.5), 0.5),
        (Tensor(0.25), 0.25),
        (2**53, 2.0**53),
    ],
)
def test_one_finite_number_is_a_performance(value, perf):
    """Every kind of number that a training may end with is taken as its plain float."""
    assert as_perf(value) == perf
    assert type(as_perf(value)) is float


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "must be finite, got nan"),
        (math.inf, "must be finite, got inf"),
        (-math.inf, "must be finite, got -inf"),
        (np.float32("nan"), "must be finite, got nan"),
        (np.array(np.inf), "must be finite, got inf"),
        (Tensor(math.nan), "must be finite, got nan"),
        (decimal.Decimal("NaN"), "must be finite, got nan"),
        (decimal.Decimal("sNaN"), "must be finite, got Decimal"),
        (10**400, "is too large for a float: int 1000000"),
        (Fraction(10**400), "is too large for a float: Fraction"),
        (None, "must be one number, got None"),
        ("0.5", "must be one number, got str '0.5'"),
        (b"1", "must be one number, got bytes"),
        (1 + 0j, "must be one number, got complex"),
        (np.complex64(1), "must be one number, got complex64"),
        ({"loss": 1.0}, "must be one number, got dict"),
        ((1.0,), "must be one number, got tuple"),
        ([1.0], "must be one number, got list"),
        (np.array([1.0]), "must be one number, got ndarray"),
        (np.array("0.5"), "must be one number, got ndarray"),
        (Tensor(1.0, ndim=1), "must be one number, got Tensor"),
        (Mute(), "must be one number, got Mute "),
        (object, "must be one number, got type"),
    ],
)
def test_everything_else_is_refused_by_name(value, text):
    """The error says what the objective returned."""
    with pytest.raises(InvalidPerfError) as caught:
        as_perf(value)
    assert text in str(caught.value)


def test_long_values_are_shown_short():
    """A huge result must not fill the log."""
    for value in ("x" * 10**6, list(range(10**6)), {"x": "y" * 10**6}, 10**400):
        assert len(short(value)) < 120
        assert short(value).startswith(f"{type(value).__name__} ")
    assert short(1) == "int 1"


def test_states_say_what_they_carry():
    """Two states have a performance, and three are not the end."""
    assert {state for state in TrialState if state.has_perf} == {TrialState.COMPLETE, TrialState.STOPPED}
    assert {state for state in TrialState if not state.is_final} == {
        TrialState.RUNNING,
        TrialState.CANCELLED,
        TrialState.LOST,
    }
    assert [str(state) for state in TrialState] == [state.name for state in TrialState]


FULL = Suggestion({"x": 1, "c": [2]}, fidelity=3.0, resume=4, info={"rung": [1, {"a": None}]}, number=5, pid=6, seed=7)
PARTS = ("fidelity", "resume", "info", "number", "pid", "seed")


@pytest.mark.parametrize(
    "duplicate",
    [
        Suggestion.copy,
        copy.copy,
        copy.deepcopy,
        *[lambda s, p=protocol: pickle.loads(pickle.dumps(s, p)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)],
    ],
)
def test_copies_of_a_suggestion_are_whole(duplicate):
    """Every way to duplicate one keeps the configuration and all the rest."""
    twin = duplicate(FULL)
    assert type(twin) is Suggestion
    assert twin is not FULL
    assert twin == FULL == {"x": 1, "c": [2]}
    assert [getattr(twin, part) for part in PARTS] == [getattr(FULL, part) for part in PARTS]


def test_copy_shares_values_but_not_notes():
    """A choice stays the very object; the notes of one copy are not those of the other."""
    twin = FULL.copy()
    assert twin["c"] is FULL["c"]
    twin.info["rung"][1]["a"] = 1
    assert FULL.info == {"rung": [1, {"a": None}]}


def test_suggestion_is_equal_to_its_dict_alone():
    """Code that compares configurations need not know about numbers."""
    assert Suggestion({"x": 1}, number=1) == Suggestion({"x": 1}, number=2, fidelity=9.0) == {"x": 1}


def test_suggestion_shows_what_matters():
    """Number always, fidelity and resume where there are any."""
    assert repr(Suggestion({"x": 1}, number=2)) == "Suggestion({'x': 1}, number=2)"
    assert repr(FULL) == "Suggestion({'x': 1, 'c': [2]}, number=5, fidelity=3, resume=4)"


def test_what_a_performance_stands_for():
    """The fidelity given, the fidelity reached where it was stopped, and infinity where there was no limit."""
    reports = ((1.0, 0.1), (2.0, 0.2))
    assert Trial(0, {}, ended((0.5,))).reached == math.inf
    assert Trial(0, {}, ended((0.5,)), fidelity=9.0, reports=reports).reached == 9.0
    assert Trial(0, {}, Outcome(TrialState.STOPPED, (0.5,)), fidelity=9.0, reports=reports).reached == 2.0
    assert Trial(0, {}, Outcome(TrialState.STOPPED, (0.5,)), fidelity=9.0).reached == 9.0


def test_seconds_are_known_when_both_ends_are():
    """A trial that was never started took no known time."""
    assert Trial(0, {}, started=10.0, ended=12.5).seconds == 2.5
    assert Trial(0, {}, started=0.0, ended=0.0).seconds == 0.0
    assert Trial(0, {}, started=10.0).seconds is None
    assert Trial(0, {}).seconds is None


def test_incumbent_is_the_best_of_those_with_most_training():
    """Brute force over every order of trials with equal, zero and missing performances agrees."""
    known = [(1.0, 0.9), (9.0, 0.0), (9.0, -1.0), (9.0, None), (None, None)]
    for sign in (1, -1):
        for order in itertools.permutations(known):
            trials = [
                Trial(i, {}, ended(() if perf is None else (perf,)), fidelity=fidelity, signs=(sign,))
                for i, (fidelity, perf) in enumerate(order)
            ]
            best = incumbent(trials)
            assert (best.fidelity, best.perf) == (9.0, 0.0 if sign == 1 else -1.0)


def test_incumbent_of_equals_is_the_first():
    """A tie must not depend on who looks; the first trial can win, and so can a performance of 0."""
    for signs in ((), (1,), (-1,)):
        trials = [Trial(i, {}, ended((0.0,)), signs=signs) for i in range(3)]
        assert incumbent(trials).number == incumbent(iter(trials)).number == 0
    assert incumbent([]) is None
    assert incumbent([Trial(0, {}, Outcome(TrialState.FAILED))]) is None


def test_of_equals_the_one_asked_first_is_the_incumbent_whichever_ended_first():
    """So the search, its result and its progress name the same trial."""
    late, early = (Trial(number, {}, ended((0.5,))) for number in (3, 1))
    assert incumbent([late, early]) is early
    assert incumbent([early, late]) is early


def several(rows, violations=None, **fields):
    """Complete trials with the rows as their objectives."""
    missed = violations or [0.0] * len(rows)
    return [
        Trial(i, {}, ended(tuple(row), constraints={"c": miss}), **fields)
        for i, (row, miss) in enumerate(zip(rows, missed, strict=True))
    ]


def beaten(one, by, signs):
    """Whether another is at least as good everywhere, and better somewhere: word for word."""
    pairs = [(s * a, s * b) for s, a, b in zip(signs, one, by, strict=True)]
    return all(b >= a for a, b in pairs) and any(b > a for a, b in pairs)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_front_is_what_no_other_trial_beats(m):
    """Brute force over random trials with ties, in every mixture of directions; of equals the first."""
    rng = np.random.default_rng(m)
    for _ in range(20):
        rows = rng.integers(0, 4, (15, m)).astype(float).tolist()
        signs = rng.choice([-1, 1], m).tolist()
        found = pareto(several(rows, signs=tuple(signs)))
        wanted = [
            i
            for i, row in enumerate(rows)
            if not any(beaten(row, other, signs) for other in rows) and row not in rows[:i]
        ]
        assert sorted(trial.number for trial in found) == wanted
        firsts = [signs[0] * trial.perfs[0] for trial in found]
        assert firsts == sorted(firsts, reverse=True)


def test_the_front_agrees_with_moocore():
    """An independent library finds the same front."""
    moocore = pytest.importorskip("moocore")
    rows = np.random.default_rng(0).random((200, 3))
    wanted = np.flatnonzero(moocore.is_nondominated(rows, maximise=[True, False, True]))
    assert sorted(trial.number for trial in pareto(several(rows.tolist(), signs=(1, -1, 1)))) == wanted.tolist()


def test_the_front_holds_only_those_that_meet_constraints_with_most_training():
    """A short training, a failed one and one that misses a constraint are not on it, however good."""
    trials = several([(1.0, 1.0), (9.0, 9.0)], [0.0, 0.1])
    short_one = Trial(2, {}, ended((9.0, 9.0)), fidelity=3.0)
    failed = Trial(3, {}, Outcome(TrialState.FAILED))
    assert [trial.number for trial in pareto([*trials, short_one, failed])] == [0]
    assert pareto([failed, trials[1]]) == []


def test_violation_adds_up_what_is_missed_and_nothing_else():
    """A constraint that is met by far makes up for nothing."""
    trial = Trial(0, {}, ended((1.0,), constraints={"a": -5.0, "b": 0.25, "c": 0.5, "d": 0.0}))
    assert trial.violation == 0.75
    assert Trial(0, {}).violation == 0.0


def test_the_incumbent_meets_its_constraints_if_any_trial_does():
    """Else it is the one that misses them least, however good the others are."""
    trials = several([(1.0,), (5.0,), (3.0,)], [0.0, 0.1, 0.0])
    assert incumbent(trials).number == 2
    assert incumbent(trials[1:2]).number == 1
    missing = several([(5.0,), (1.0,), (9.0,)], [0.2, 0.1, 0.3])
    assert incumbent(missing).number == 1


def test_the_incumbent_of_several_objectives_is_the_compromise():
    """The nearest to the corner of the best values, in the front's own ranges: on a quarter circle its middle."""
    angles = np.linspace(0.0, np.pi / 2, 9)
    rows = [(math.cos(a), 1000 * math.sin(a)) for a in angles]  # the scale of an objective does not count
    assert incumbent(several(rows)).number == 4
    rows = [(-math.cos(a), 1000 * math.sin(a)) for a in angles]
    assert incumbent(several(rows, signs=(-1, 1))).number == 4


def test_the_compromise_lies_on_the_front_of_those_that_miss_constraints_least():
    """Where none meets them."""
    rows = [(0.0, 1.0), (0.9, 0.9), (1.0, 0.0), (5.0, 5.0)]
    assert incumbent(several(rows, [0.1, 0.1, 0.1, 0.2])).number == 1


def test_huge_values_have_a_compromise_and_huge_violations_a_sum():
    """Ranges and sums beyond the largest float are no error."""
    rows = [(1.7e308, -1.7e308), (1e308, 1e308), (-1.7e308, 1.7e308)]
    assert incumbent(several(rows)).number == 1
    assert Trial(0, {}, Outcome(TrialState.RUNNING, constraints={"a": 1.7e308, "b": 1.7e308})).violation == math.inf
