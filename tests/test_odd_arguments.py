"""Arguments that nobody expects: each leads to an error of ours that names it, whatever the value can or cannot do."""

from __future__ import annotations

import contextlib
import decimal
import json
import math

import numpy as np
import pytest

from autohpo import (
    Belief,
    BetaPrior,
    ChoiceHP,
    Cut,
    EvaluationsError,
    FixedHP,
    HPSpace,
    RangeHP,
    Result,
    Search,
    SearchSpace,
    SpaceError,
    StoreError,
    build_hpo_from_name,
)
from autohpo.arguments import checked_index, checked_numbers
from autohpo.errors import AutoHPOError, OptionError, PathError, shown
from autohpo.execution.devices import gpus_of_slots
from autohpo.progress import make_progress
from autohpo.report.html import write_html
from autohpo.run_options import RunOptions
from autohpo.spaces.tagged import from_json
from autohpo.store import check, repair
from autohpo.tables import read_csv, write_csv

SPACE = [RangeHP("x", 0.0, 1.0)]
HUGE = 10**5000  # Python does not write it: its repr raises


class Silent:
    """Cannot be shown, compared, counted, or taken for true or false."""

    __hash__ = None

    def __repr__(self):
        raise RuntimeError("no text")

    __bool__ = __len__ = __repr__

    def __eq__(self, other):
        raise RuntimeError("no comparison")


COUNTS = ("patience", "max_suspended", "max_consecutive_failures", "confirm", "gpus")  # may be as large as one likes

ODD = [Silent(), HUGE, -HUGE, [HUGE], np.array([]), np.arange(3), np.array(0.5), "\ud800", "a\0b", b"x", 1j, math.nan]
ODD += [decimal.Decimal("sNaN"), ..., len, np.datetime64("2020"), {"x": Silent()}, (), {}, None]


def each(name, values):
    """Run a test with each value, named by its type: some have no text."""
    values = list(values)
    return pytest.mark.parametrize(name, values, ids=[f"{type(v).__name__}{i}" for i, v in enumerate(values)])


def searched(**options):
    """An optimizer after a short search."""
    hpo = build_hpo_from_name("random", SPACE, lambda hp: hp["x"], max_evals=3, seed=0)
    hpo.optimize(progress=False, **options)
    return hpo


@each("value", [HUGE, [HUGE], Silent(), {1: Silent()}])
def test_what_has_no_repr_is_shown_by_its_type(value):
    """An error about a value must not raise another one."""
    assert type(value).__name__ in shown(value) or "Silent" in shown(value)


def test_what_has_a_repr_is_shown_by_it_cut_to_length():
    """As errors have always shown values."""
    assert shown("ab") == "'ab'"
    assert len(shown("x" * 500)) == 80


@each("value", ODD)
def test_no_option_of_an_algorithm_takes_what_it_must_compare_first(value):
    """Whatever its annotation: a number, a string, a Literal, or a list."""
    given = [("tpe", "n_startup"), ("hyperband", "bracket_sizes"), ("autone", "shares"), ("tpe", "max_evals")]
    for name, option in given:
        if value is None and option == "max_evals":
            continue
        with pytest.raises(OptionError, match=option):
            build_hpo_from_name(name, SPACE, **{option: value})


def test_an_integer_beyond_all_floats_is_no_option():
    """Algorithms compute with their options."""
    with pytest.raises(OptionError, match="seed: must be within the range of floats, got int of 16610 bits"):
        build_hpo_from_name("random", SPACE, seed=HUGE)
    assert build_hpo_from_name("random", SPACE, seed=2**128).ask()  # as that of a UUID


@each("value", [v for v in ODD if v is not None])
def test_no_argument_of_optimize_is_taken_by_chance(value):
    """The error names the argument, and its text can be read."""
    names = ["num_workers", "time_limit", "memory_limit", "target", "patience", "keep", "keep_checkpoints", "confirm"]
    for name in [*names, "gpus", "max_suspended", "retries", "executor", "default_first", "max_consecutive_failures"]:
        if isinstance(value, dict) and not value and name in ("retries", "confirm"):
            continue
        if (name == "executor" and isinstance(value, str)) or (value is HUGE and name in COUNTS):
            continue
        with pytest.raises(OptionError, match=name) as caught:
            RunOptions(**{name: value})
        str(caught.value).encode()


@each("value", ODD)
def test_progress_is_one_of_its_words(value):
    """An array is compared with no word."""
    with pytest.raises(OptionError, match="progress: must be"):
        make_progress(value)


@each("text", ["9" * 5000, "1e400GB", "9" * 400 + "TB"])
def test_a_memory_limit_beyond_all_memory_is_none(text):
    """Such a number is no float either."""
    with pytest.raises(OptionError, match="memory_limit"):
        RunOptions(memory_limit=text)
    assert RunOptions(memory_limit=np.int64(5)).memory_bytes == 5


def test_a_way_to_hold_a_limit_needs_the_limit():
    """Without it nothing would be held, and nobody told."""
    with pytest.raises(OptionError, match="memory_by: 'cgroup' says how memory_limit is held, so give that, too"):
        RunOptions(memory_by="cgroup")


@each("value", [v for v in ODD if v is not None])
def test_warm_start_takes_stores_and_results_alone(value):
    """An empty list or dict has none of them; a scalar array cannot be gone through."""
    hpo = build_hpo_from_name("random", SPACE, lambda hp: hp["x"], max_evals=2, seed=0)
    is_empty = isinstance(value, (tuple, np.ndarray)) and not np.size(value)
    if is_empty:
        hpo.optimize(warm_start=value, progress=False)
        return
    with pytest.raises(AutoHPOError):
        hpo.optimize(warm_start=value, progress=False)


@each("value", [*(v for v in ODD if v is not None), -1, 3, 0.0, True, "0"])
def test_a_trial_is_named_by_its_number(value):
    """From 0 to below how many there are, an integer of Python or of numpy."""
    result = searched().result
    for ask in (result.why, result.checkpoint_dir):
        with pytest.raises(OptionError, match="number: must be that of a trial, below 3"):
            ask(value)
    assert result.why(np.int64(0)) == ""


@each("value", [*ODD, -1, 0.5, True, "0"])
def test_how_many_are_on_top_is_a_count(value):
    """More than there are is all of them."""
    result = searched().result
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        assert len(result.top(value)) == 3
        return
    with pytest.raises(OptionError, match="k: must be an integer of at least 0"):
        result.top(value)


@each("value", [v for v in ODD if v is not None])
def test_an_objective_is_named_by_its_name_or_place(value):
    """Nothing is compared with the names but strings."""
    with pytest.raises(OptionError, match="objective: must be one of"):
        searched().result.along(value)


@each("value", [*ODD, [Silent()], ["1"], [HUGE], [math.inf], [True], np.zeros((1, 1))])
def test_a_reference_point_is_made_of_finite_numbers(value):
    """A list of them, or an array of one dimension."""
    with pytest.raises(OptionError, match="reference: "):
        checked_numbers("reference", value, 1)
    assert checked_numbers("reference", np.arange(2), 2) == [0.0, 1.0]


def test_an_index_may_be_of_numpy():
    """It comes back as Python's own."""
    assert type(checked_index("k", np.int8(2), 3)) is int


@each("path", [7, None, b"x", "", "a\0b", "\ud800", "x" * 300, "none/x.csv", "."])
def test_a_file_that_cannot_be_used_is_a_path_error(path, tmp_path, monkeypatch):
    """It is an OSError, too, as one would expect of a file, and an OptionError."""
    monkeypatch.chdir(tmp_path)
    result = searched().result
    for use in (result.to_csv, lambda p: write_html(result, p), read_csv):
        with pytest.raises(PathError, match="path: ") as caught:
            use(path)
        assert isinstance(caught.value, OSError)
        assert isinstance(caught.value, OptionError)
        str(caught.value).encode()


def test_a_table_may_hold_half_a_character(tmp_path):
    """A value comes back as it was; what is text alone, as Python escapes it."""
    write_csv([{"number": 0, "error": "odd \ud800", "hp.x": "\ud800"}], tmp_path / "t.csv")
    (record,) = read_csv(tmp_path / "t.csv")
    assert (record["error"], record["hp.x"]) == ("odd \\ud800", "\ud800")


@each("path", [7, None, b"x.db", "", "/", ".", "a\0b", "\ud800.db", "x" * 300, "none/x.db"])
def test_salvage_takes_paths_of_stores_alone(path, tmp_path, monkeypatch):
    """The error names the argument, also that of the new store."""
    monkeypatch.chdir(tmp_path)
    searched(store="run.db")
    for use in (check, repair):
        with pytest.raises(StoreError, match="path: "):
            use(path)
    if path is not None:
        with pytest.raises(StoreError, match="to: "):
            repair("run.db", path)


def test_a_name_that_leaves_no_room_for_the_files_beside_is_refused_at_once(tmp_path):
    """SQLite would fail in the midst."""
    with pytest.raises(StoreError, match="must be the path of a file"):
        Result.load(tmp_path / ("x" * 250))


@each("value", [HUGE, 1e309, math.nan, "1", None, Silent()])
def test_a_fidelity_of_a_report_is_a_float(value):
    """An integer beyond all floats is none."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    with pytest.raises(EvaluationsError, match="fidelity: must be a finite number"):
        hpo.report(hpo.ask(), value, 0.5)


@each("value", [np.array([]), np.arange(2), Silent(), "yes", 1, None])
def test_whether_a_trial_was_stopped_is_true_or_false(value):
    """Nothing else is asked for its truth."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    with Search(build_hpo_from_name("random", SPACE, seed=0)) as search:
        for door in (hpo, search):
            suggestion = door.ask()
            with pytest.raises(OptionError, match="is_stopped: must be True or False"):
                door.tell(suggestion, 0.5, is_stopped=value)
            door.tell(suggestion, 0.5, is_stopped=np.bool_(False))


@each("reason", [HUGE, Silent(), None, ValueError("why")])
def test_a_reason_of_any_kind_is_kept_as_a_string(reason):
    """Users hand over the exception itself."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    with Search(build_hpo_from_name("random", SPACE, seed=0)) as search:
        for door in (hpo, search):
            door.fail(door.ask(), reason)
    assert isinstance(hpo.trials[0].error, str)
    assert isinstance(search.state[0].error, str)


@each("value", [HUGE, -HUGE, Silent(), np.array([]), "x", {1: 2}])
def test_what_is_no_suggestion_is_refused_by_every_door(value):
    """With a text that can be read."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    with Search(build_hpo_from_name("random", SPACE, seed=0)) as search:
        for door in (hpo, search):
            door.ask()
            for tell in (lambda d=door: d.tell(value, 0.5), lambda d=door: d.fail(value, "x")):
                with pytest.raises(EvaluationsError):
                    tell()
            with pytest.raises(OptionError, match="state: "):
                door.fail(door.ask(), "x", value)
    with pytest.raises(AutoHPOError):
        hpo.adopt({"x": 0.5})


def test_a_suggestion_that_was_changed_beyond_text_is_refused():
    """The error shows what can be shown of it."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    suggestion = hpo.ask()
    suggestion["x"] = HUGE
    with pytest.raises(EvaluationsError, match="trial 0 was asked with"):
        hpo.tell(suggestion, 0.5)


def test_a_batch_that_cannot_be_gone_through_is_refused():
    """A scalar array says that it can be, and cannot."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    with pytest.raises(EvaluationsError, match="must be a list of"):
        hpo.tell(np.array(1.0))


@each("value", [np.array([]), np.arange(3), Silent(), "x > 1", 0, False])
def test_conditions_are_a_dict(value):
    """Nothing else is asked for its truth."""
    with pytest.raises(SpaceError, match="conditions must be a dict"):
        SearchSpace(SPACE, conditions=value)


@each("value", [np.array(1.0), Silent(), "ab", HUGE, 0.5])
def test_a_prior_is_a_prior_or_a_list(value):
    """A scalar array is no list of weights."""
    with pytest.raises(SpaceError, match="prior"):
        ChoiceHP("c", ["a", "b"], prior=value)


def test_a_parameter_whose_value_has_no_repr_has_one():
    """Errors show parameters."""
    assert "int of 16610 bits" in repr(FixedHP("x", HUGE))


@each("formula", ["x / 0 > 1", "1e200 ** 64 > x", "x / (1 - 1) < 2", "1 / 0 > x"])
def test_a_formula_of_constants_beyond_floats_raises_nothing_where_boxes_are_drawn(formula):
    """Its bounds are infinite, or it is an error of ours."""
    try:
        space = SearchSpace(SPACE, constraints=formula)
        space.sample(np.random.default_rng(0), 2)
    except SpaceError:
        pass


def test_gpus_beyond_the_workers_cost_nothing():
    """However many there are said to be, or share one."""
    assert gpus_of_slots(HUGE, 2) == ("0", "1")
    assert gpus_of_slots({0: HUGE}, 3) == ("0", "0", "0")


def test_more_workers_than_processes_are_refused():
    """Before any is started."""
    with pytest.raises(OptionError, match="num_workers: must be at most 65536"):
        RunOptions(num_workers=10**9)


def test_an_integer_that_python_does_not_write_is_kept_all_the_same():
    """In hexadecimal, which has no such limit."""
    space = SearchSpace([ChoiceHP("c", [HUGE, -HUGE, 1])])
    data = json.loads(json.dumps(space.to_dict()))
    assert SearchSpace.from_dict(data) == space
    with pytest.raises(SpaceError, match="tag must be"):
        from_json({"int": "9" * 5000})


def test_what_a_caller_makes_of_a_suggestion_is_not_in_the_log():
    """The dict is the caller's; what was asked for stays."""
    with Search(build_hpo_from_name("random", SPACE, seed=0)) as search:
        suggestion = search.ask()
        asked = dict(suggestion)
        suggestion["x"] = None
        assert search.tell(suggestion.number, 0.5).hp == asked


@each("value", [v for v in ODD if v is not None])
def test_the_doors_of_a_space_take_what_they_say(value):
    """Points, configurations, descriptions, counts, names."""
    space, rng = SearchSpace(SPACE), np.random.default_rng(0)
    calls = [lambda: space.decode(value), lambda: space.encode(value), lambda: SearchSpace.from_dict(value)]
    calls += [lambda: HPSpace.from_dict(value), lambda: space.sample(rng, value), lambda: Cut([value], len)]
    calls += [lambda: SearchSpace(SPACE, constraints=[value]), lambda: Belief(0.5, value), lambda: BetaPrior(value, 1)]
    for call in calls:
        if isinstance(value, int) and value is HUGE and call is calls[-1]:
            continue
        with contextlib.suppress(SpaceError):
            call()


def test_constraints_are_a_list():
    """A scalar array says that it can be gone through, and cannot."""
    with pytest.raises(SpaceError, match="constraints must be a list"):
        SearchSpace(SPACE, constraints=np.array(1.0))


@each("value", [Silent(), np.array([]), decimal.Decimal("sNaN")])
def test_options_of_a_sampler_that_is_not_used_are_named(value):
    """Nothing is compared with a default but values of its type."""
    with pytest.raises(OptionError):
        build_hpo_from_name("bohb", SPACE, sampler="random", num_samples=value, max_fidelity=3)


@each("value", [HUGE, Silent()])
def test_a_result_of_values_without_a_repr_can_be_looked_at(value, tmp_path):
    """As a table, a page and a file."""
    hpo = build_hpo_from_name("random", [ChoiceHP("c", [value]), *SPACE], lambda hp: hp["x"], max_evals=2, seed=0)
    hpo.optimize(progress=False)
    assert type(value).__name__ in hpo.result._repr_html_()
    write_html(hpo.result, tmp_path / "page.html")
    hpo.result.to_csv(tmp_path / "t.csv")


def test_huge_results_are_confirmed_without_a_warning():
    """Their squares and sums are no floats."""
    rng = np.random.default_rng(0)
    hpo = build_hpo_from_name("random", SPACE, lambda hp: rng.choice([1.7e308, -1.7e308, 1e308]), max_evals=4, seed=0)
    hpo.optimize(confirm={"k": 2, "seeds": 3}, progress=False)
    assert all(c.mean is None or math.isfinite(c.mean) for c in hpo.result.confirmed)
