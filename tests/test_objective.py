"""What an objective may ask for, and how its four shapes become one protocol."""

from __future__ import annotations

import functools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from autohpo.errors import InvalidPerfError, OptionError
from autohpo.objective import Evaluator, Objective
from autohpo.objectives import as_perf
from autohpo.trainer import TrainerObjective, check_trainer, nested
from autohpo.trial import Task, TrialState

NOTHING = object()


def evaluate(f, dataset=None, **task):
    """Outcome and reports of one task."""
    reports = []

    def report(fidelity, perf, *metrics):
        reports.append((fidelity, perf))
        return True

    defaults = {"number": 0, "attempt": 1, "hp": {"x": 2.0}, "seed": 7, "root": 0, "checkpoint_dir": "unused"}
    outcome = Evaluator(Objective.of(f, dataset)).run(Task(**{**defaults, **task}), report)
    return outcome, reports


@pytest.mark.parametrize(
    ("value", "perf"),
    [(1, 1.0), (0.5, 0.5), (True, 1.0), (Fraction(1, 4), 0.25), (Decimal("0.5"), 0.5), (np.float32(0.5), 0.5)]
    + [(np.array(3), 3.0), (np.int64(2), 2.0), (np.bool_(False), 0.0)],
)
def test_a_number_of_any_kind_is_a_perf(value, perf):
    """The accepted half of the table of as_perf."""
    result = as_perf(value)
    assert result == perf
    assert type(result) is float


@pytest.mark.parametrize(
    "value",
    [None, "0.5", 1j, float("nan"), float("inf"), -float("inf"), 10**400, [1.0], (1, 2), {"a": 1}, np.ones(1)]
    + [np.ones(3), object(), np.array(np.nan), np.array("a"), Decimal("NaN")],
)
def test_anything_else_is_refused_and_named(value):
    """The refused half of the table of as_perf."""
    with pytest.raises(InvalidPerfError, match="result"):
        as_perf(value)


def test_a_value_with_a_broken_repr_is_refused_all_the_same():
    """The text of the error must not depend on the user's own code."""

    class Odd:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(InvalidPerfError, match="Odd"):
        as_perf(Odd())


def test_f_gets_what_it_names_and_nothing_else():
    """dataset, fidelity, trial and seed are passed by name."""
    seen = {}

    def f(hps, dataset, seed, *, fidelity, trial, other=1):
        seen.update(hps=hps, dataset=dataset, seed=seed, fidelity=fidelity, number=trial.number, other=other)
        return 1.0

    outcome, _ = evaluate(f, dataset="data", fidelity=3.0)
    assert outcome.state is TrialState.COMPLETE
    assert seen == {"hps": {"x": 2.0}, "dataset": "data", "seed": 7, "fidelity": 3.0, "number": 0, "other": 1}


def test_an_optional_dataset_keeps_its_default_where_none_is_given():
    """AutoGL's documented shape: f(hps, dataset=None)."""
    assert evaluate(lambda hps, dataset="own": float(dataset == "own"))[0].perf == 1.0
    assert evaluate(lambda hps, dataset=None: float(dataset), dataset=3)[0].perf == 3.0


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (3, "callable"),
        (lambda: 1, "first argument"),
        (lambda *, hps: 1, "first argument"),
        (lambda hps, epochs: 1, "'epochs'"),
        (lambda hps, dataset: 1, "dataset"),
    ],
)
def test_an_objective_that_cannot_be_called_is_refused_at_once(f, text):
    """A wrong signature is found before the first trial."""
    with pytest.raises(OptionError, match=text):
        Objective.of(f)


def test_a_builtin_without_a_signature_is_called_with_the_configuration():
    """``len`` and its like cannot be inspected, or need one argument only."""
    assert evaluate(len)[0].perf == 1.0
    assert evaluate(max, hp={"x": 1})[0].state is TrialState.INVALID  # max of a dict is its largest key


def epochs(hps):
    """Four epochs."""
    yield from (1.0, 2.0, 3.0, 4.0)


class Callable:
    """A generator behind __call__."""

    def __call__(self, hps):
        """Four epochs."""
        yield from epochs(hps)


@pytest.mark.parametrize(
    ("f", "takes"),
    [
        (lambda hps: 1, False),
        (lambda hps, seed: 1, False),
        (lambda hps, fidelity: 1, True),
        (lambda hps, trial: 1, True),
        (epochs, True),
        (Callable(), True),
        (functools.partial(epochs), True),
    ],
)
def test_whether_f_can_be_trained_in_part_shows_in_its_shape(f, takes):
    """Multi-fidelity algorithms fall back to full training for the rest."""
    assert Objective.of(f).takes_fidelity is takes


def test_a_plain_f_cannot_change_the_configuration_of_the_search():
    """f gets a dict of its own."""
    task = Task(0, 1, {"x": 1})
    Evaluator(Objective.of(lambda hps: hps.pop("x"))).run(task, lambda *_: True)
    assert task.hp == {"x": 1}


def test_reports_count_their_own_fidelity_and_end_at_what_was_given():
    """trial.report returns False when the trial has had its fidelity, and the last report is the result."""
    answers = []

    def f(hps, trial):
        answers.extend(trial.report(perf) for perf in (0.1, 0.2, 0.3))

    outcome, reports = evaluate(f, fidelity=3.0)
    assert answers == [True, True, False]
    assert reports == [(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]
    assert (outcome.state, outcome.perf, outcome.reached) == (TrialState.COMPLETE, 0.3, 3.0)


def test_a_report_that_is_no_number_makes_the_trial_invalid():
    """A diverged training shows as INVALID, with the traceback to the report."""
    outcome, reports = evaluate(lambda hps, trial: trial.report(float("nan")))
    assert outcome.state is TrialState.INVALID
    assert "finite" in outcome.error
    assert reports == []


def test_resume_at_counts_on_from_a_checkpoint(tmp_path):
    """What was loaded from the checkpoint folder counts as trained."""

    def f(hps, trial):
        (trial.checkpoint_dir / "state").write_text("5")
        trial.resume_at(5)
        trial.report(1.0)

    assert evaluate(f, checkpoint_dir=str(tmp_path / "a" / "b"))[1] == [(6.0, 1.0)]
    assert (tmp_path / "a" / "b" / "state").exists()


def test_a_generator_pauses_at_its_rung_and_continues_when_promoted():
    """Each epoch is trained once: the count of epochs entered is that of the highest rung."""
    trained = []

    def f(hps):
        for epoch in range(1, 10):
            trained.append(epoch)
            yield float(epoch)

    evaluator, reports = Evaluator(Objective.of(f)), []
    for number, fidelity in enumerate([1.0, 3.0, 9.0]):
        task = Task(number, 1, {}, fidelity=fidelity, root=0)
        outcome = evaluator.run(task, lambda *r: reports.append(r) or True)
        assert (outcome.state, outcome.perf, outcome.reached) == (TrialState.COMPLETE, fidelity, fidelity)
    assert trained == list(range(1, 10))
    assert reports == [(float(e), float(e)) for e in trained]


def test_a_fractional_fidelity_is_reached_by_the_next_whole_unit():
    """Rungs of max / eta^k need not be whole; a generator trains whole units."""
    assert evaluate(epochs, fidelity=2.5)[1] == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


def test_a_generator_that_ends_early_keeps_its_last_value_at_every_higher_rung():
    """It stopped by itself: promoted, it stands where it stood, and nothing is trained again."""
    starts = []

    def f(hps):
        starts.append(1)
        yield 0.5
        yield 0.7

    evaluator = Evaluator(Objective.of(f))
    perfs = [evaluator.run(Task(n, 1, {}, fidelity=x, root=0), lambda *_: True).perf for n, x in enumerate([3.0, 9.0])]
    assert perfs == [0.7, 0.7]
    assert len(starts) == 1


def test_without_fidelity_a_generator_runs_to_its_end():
    """Full training is all that it yields."""
    outcome, reports = evaluate(epochs)
    assert (outcome.perf, len(reports)) == (4.0, 4)


def test_a_generator_that_yields_nothing_is_invalid():
    """There is no performance to take."""

    def f(hps):
        return
        yield

    assert evaluate(f)[0].state is TrialState.INVALID


def test_a_stopped_generator_is_closed_at_once():
    """The search's no ends the trial at that report, and its finally blocks run."""
    closed = []

    def f(hps):
        try:
            yield from (1.0, 2.0, 3.0)
        finally:
            closed.append(True)

    outcome = Evaluator(Objective.of(f)).run(Task(0, 1, {}, root=0), lambda fidelity, _: fidelity < 2)
    assert (outcome.state, outcome.perf, outcome.reached) == (TrialState.STOPPED, 2.0, 2.0)
    assert closed == [True]


def test_a_dropped_training_is_closed_and_starts_anew_if_it_comes_back():
    """drop lets go of the memory of a training that will not be continued."""
    starts = []

    def f(hps):
        starts.append(1)
        try:
            yield from (1.0, 2.0)
        finally:
            starts.append(-1)

    evaluator = Evaluator(Objective.of(f))
    evaluator.run(Task(0, 1, {}, fidelity=1.0, root=0), lambda *_: True)
    evaluator.drop(0)
    assert starts == [1, -1]
    evaluator.run(Task(1, 1, {}, fidelity=2.0, root=0), lambda *_: True)
    assert starts == [1, -1, 1]
    evaluator.close()


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), MemoryError()])
def test_whatever_f_raises_is_a_failed_trial_with_its_traceback(error):
    """sys.exit too: it ends the trial and not the search."""

    def f(hps):
        raise error

    outcome, _ = evaluate(f)
    assert outcome.state is TrialState.FAILED
    assert "raise error" in outcome.error


def innocent(hps):
    """A helper that raises."""
    raise LookupError("no such layer")


def raising_generator(hps):
    """A generator that raises in its second epoch."""
    yield 1.0
    innocent(hps)


class RaisingTrainer:
    """A trainer whose training raises."""

    def duplicate_from_hyper_parameter(self, hp):
        """Itself will do."""
        return self

    def train(self, dataset):
        """Raises."""
        innocent(dataset)

    def get_valid_score(self):
        """A number, never asked for."""
        return 0.0, True


@pytest.mark.parametrize(
    ("f", "frames"),
    [
        (lambda hps: innocent(hps) + 1, ["<lambda>", "innocent"]),
        (raising_generator, ["raising_generator", "innocent"]),
        (lambda hps, trial: trial.report(float("nan")), ["<lambda>"]),
        (lambda hps, trial: trial.report(1.0, fidelity=-1), ["<lambda>"]),
        (lambda hps: None, []),
        (TrainerObjective(RaisingTrainer(), None, "unused"), ["train", "innocent"]),
    ],
)
def test_a_traceback_shows_the_frames_of_the_user_alone(f, frames):
    """The first frame is the user's function, and the last one the user's line that raised or called us."""
    error = evaluate(f)[0].error
    assert [line.rsplit(" in ", 1)[1] for line in error.splitlines() if line.startswith("  File ")] == frames
    assert error.startswith("Traceback (most recent" if frames else "autohpo.errors.InvalidPerfError: ")


def test_a_traceback_keeps_its_cause():
    """An exception raised from another one shows both, each from the user's frames on."""

    def f(hps):
        try:
            innocent(hps)
        except LookupError as fault:
            raise RuntimeError("no network") from fault

    error = evaluate(f)[0].error
    assert error.index("no such layer") < error.index("direct cause") < error.index("no network")
    assert "autohpo/objective.py" not in error


def test_an_exception_that_cannot_be_printed_is_still_a_failed_trial():
    """Its own __str__ raises; the outcome says so."""

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    def f(hps):
        raise Odd

    assert evaluate(f)[0].state is TrialState.FAILED


def test_ctrl_c_passes_through():
    """The driver has to see it."""

    def f(hps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(f)


def test_names_with_a_colon_become_a_nested_configuration():
    """AutoGL's trainers want {"trainer": {...}, "encoder": {...}}."""
    assert nested({"trainer:lr": 1, "encoder:act": "elu", "seed": 3}) == {
        "trainer": {"lr": 1},
        "encoder": {"act": "elu"},
        "seed": 3,
    }


def test_a_trainer_without_the_contract_is_refused_by_name():
    """All missing methods are named."""

    class Half:
        def train(self, dataset):
            """Trains."""

    with pytest.raises(OptionError, match="duplicate_from_hyper_parameter, get_valid_score"):
        check_trainer(Half())


def test_a_lower_is_better_score_is_turned_round(tmp_path):
    """get_valid_score says which way is better; perf is always higher is better."""

    class Trainer:
        def duplicate_from_hyper_parameter(self, hp):
            """Itself will do."""
            return self

        def train(self, dataset):
            """Learns nothing."""

        def get_valid_score(self):
            """A loss."""
            return 0.25, False

    assert TrainerObjective(Trainer(), None, str(tmp_path)).train({})[1] == -0.25


def test_a_handle_of_an_ended_trial_ignores_late_reports():
    """A thread that a trial left behind is told to end; nothing it says counts, not even what is no number."""
    handles = []

    def f(hps, trial):
        handles.append(trial)
        trial.report(0.5)
        return 1.0

    outcome, reports = evaluate(f)
    assert handles[0].report(999.0) is False
    assert handles[0].report("no number") is False
    assert (outcome.reached, reports, handles[0].reports) == (1.0, [(1.0, 0.5)], [(1.0, 0.5)])


def test_a_paused_training_reports_for_the_trial_that_continues_it():
    """Between two rungs its handle is closed; then it speaks for the next trial and attempt."""
    handles, said = [], []

    def f(hps, trial):
        handles.append(trial)
        for epoch in range(1, 5):
            yield float(epoch)

    evaluator = Evaluator(Objective.of(f))
    evaluator.run(Task(0, 1, {}, fidelity=1.0, root=0), lambda *report: said.append((0, *report)) or True)
    assert handles[0].report(9.0) is False
    evaluator.run(Task(4, 2, {}, fidelity=2.0, root=0), lambda *report: said.append((4, *report)) or True)
    assert said == [(0, 1.0, 1.0), (4, 2.0, 2.0)]
    assert (len(handles), handles[0].number, handles[0].attempt) == (1, 4, 2)


@pytest.mark.parametrize("fidelity", [-1, float("nan"), float("inf")])
def test_a_report_at_no_possible_fidelity_makes_the_trial_invalid(fidelity):
    """The log and the driver never see it."""
    outcome, reports = evaluate(lambda hps, trial: trial.report(1.0, fidelity=fidelity))
    assert (outcome.state, reports) == (TrialState.INVALID, [])
    assert evaluate(lambda hps, trial: trial.report(1.0, fidelity=0))[1] == [(0.0, 1.0)]


@pytest.mark.parametrize(("fidelity", "got"), [(None, 10), (3.0, 3)])
def test_a_default_of_f_is_kept_where_there_is_no_fidelity_to_hand_over(fidelity, got):
    """One objective serves searches with fidelities and without: ``None`` must not replace its own 10."""
    assert evaluate(lambda hps, fidelity=10: fidelity, fidelity=fidelity)[0].perf == got


def test_a_fidelity_without_a_default_is_none_in_full():
    """An argument that must be given gets None, which means full; a seed comes always, whatever its default."""
    outcome, _ = evaluate(lambda hps, fidelity, seed=42: float(fidelity is None and seed == 7))
    assert outcome.perf == 1.0


def test_reports_after_the_last_wanted_one_do_not_count():
    """Eight epochs trained for a fidelity of 3: the third is the result, and the advice names the trial."""

    def f(hps, trial):
        for epoch in range(1, 9):
            trial.report(float(epoch))
        return 99.0

    outcome, reports = evaluate(f, fidelity=3, number=5)
    assert reports == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert (outcome.perf, outcome.reached, outcome.state) == (3.0, 3, TrialState.COMPLETE)
    assert "trial 5" in outcome.advice
    assert "break" in outcome.advice
