"""Tables: None, what is missing, and integers stay apart in frames, in records and in CSV files."""

from __future__ import annotations

import csv
import math

import pytest

from autohpo import ChoiceHP, ListHP, RangeHP, Result, build_hpo_from_name
from autohpo.tables import read_csv, to_frame, write_csv

SPACE = [
    ChoiceHP("norm", [None, "batch"]),
    ChoiceHP("opti", ["sgd", "adam"], children={"sgd": [RangeHP("hops", 1, 5), ChoiceHP("nesterov", [True, False])]}),
    ChoiceHP("mixed", [1, 0.5, "1", "None", True, None, "", " a\n"]),
    RangeHP("units", 2, 4),
    RangeHP("rate", 0.0, 1.0),
    ListHP("hidden", RangeHP("size", 1, 9), "units - 1", max_length=3),
    ChoiceHP("steps", [None, 3, 10]),
]


@pytest.fixture(scope="module")
def result():
    """A search whose first trial fails, with a metric in some trials, several times each value."""

    def f(hp):
        if f.calls == 0:
            f.calls += 1
            raise ValueError("the first\nfails")
        return {"perf": hp["rate"], **({"n": 3} if hp["opti"] == "sgd" else {})}

    f.calls = 0
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=60, seed=0)
    hpo.optimize(progress=False, continue_on_error=True)
    return hpo.result


def test_every_value_of_a_configuration_is_in_the_frame_as_it_was_chosen(result):
    """None is None, 1 is not True nor 1.0, an integer is an integer, and what is not active is NaN."""
    frame = result.to_pandas()
    for trial in result:
        row = frame.loc[trial.number]
        for parameter in ("norm", "opti", "hops", "nesterov", "mixed", "units", "rate", "hidden", "steps"):
            value = frame[f"hp.{parameter}"][trial.number]
            if parameter in trial.hp:
                assert value is None if trial.hp[parameter] is None else value == trial.hp[parameter]
                assert isinstance(value, type(trial.hp[parameter])) or parameter == "units"
            else:
                assert math.isnan(value), parameter
        assert math.isnan(row["perf"]) == (trial.perf is None)
    assert frame["hp.units"].dtype == "int64"
    assert frame["hp.rate"].dtype == "float64"
    assert {type(value) for value in frame["hp.hops"]} == {int, float}
    assert frame["hp.hops"].mean() == pytest.approx(sum(t.hp.get("hops", 0) for t in result) / frame["hp.hops"].count())


def test_other_columns_keep_integers_and_have_nan_where_nothing_is(result):
    """A failed trial has no perf; no trial resumed another; a metric is missing in some."""
    frame = result.to_pandas()
    assert frame["resume"].isna().all()
    assert frame["pid"].dtype == "int64"
    assert frame["perf"].dtype == "float64"
    assert frame["state"].eq("FAILED").sum() == frame["error"].ne("").sum() == 1
    assert frame["metric.n"].count() == sum(trial.hp["opti"] == "sgd" for trial in result if trial.perf is not None)
    nullable = frame.convert_dtypes()
    assert str(nullable["hp.hops"].dtype) == "Int64"


def test_integer_fidelities_stay_integers():
    """Also where some trials have none, and which trial was continued."""
    hpo = build_hpo_from_name("hyperband", SPACE[3:4], lambda hp, fidelity: 1.0, max_fidelity=9, max_evals=14, seed=0)
    hpo.optimize(progress=False)
    frame = to_frame([{**record, "fidelity": int(record["fidelity"])} for record in hpo.result.to_records()])
    assert frame["fidelity"].dtype == "int64"
    resumed = [value for value in frame["resume"] if value == value]
    assert resumed
    assert all(type(value) is int for value in resumed)


def test_a_csv_file_gives_the_records_back(result, tmp_path):
    """Every value with its type: None, "None", 1, "1", True, lists, the empty string; without pandas."""
    result.to_csv(tmp_path / "run.csv")
    read = read_csv(tmp_path / "run.csv")
    assert read == result.to_records()
    types = [{name: type(value) for name, value in record.items()} for record in read]
    assert types == [{name: type(value) for name, value in record.items()} for record in result.to_records()]


def test_a_csv_file_is_plain_for_other_programs(result, tmp_path):
    """A header, a line for each trial, strings as they are, nothing where nothing is, and None as None."""
    result.to_csv(str(tmp_path / "run.csv"))
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    for row, trial in zip(rows, result, strict=True):
        assert row["hp.norm"] == str(trial.hp["norm"])
        assert row["hp.hops"] == str(trial.hp.get("hops", ""))
        assert row["hp.hidden"] == str(trial.hp["hidden"])
    import pandas as pd

    frame = pd.read_csv(tmp_path / "run.csv", keep_default_na=False, na_values=[""])
    assert frame["hp.rate"].tolist() == pytest.approx([trial.hp["rate"] for trial in result])


def test_what_no_cell_can_hold_is_written_by_its_name(tmp_path):
    """Functions, classes and objects; numpy's scalars are numbers."""
    import numpy as np

    values = [math.sin, int, np.float32(0.5), math.nan, math.inf, "\ud800", "it's", "'x", (1, 2), b"x"]
    write_csv([{"hp.x": value} for value in values], tmp_path / "x.csv")
    read = [record["hp.x"] for record in read_csv(tmp_path / "x.csv")]
    assert read[:3] == ["sin", "int", 0.5]
    assert math.isnan(read[3])
    assert read[4:] == values[4:]


def test_an_empty_result_is_an_empty_table(tmp_path):
    """No column, no row, no error."""
    empty = Result([])
    assert len(empty.to_pandas()) == 0
    empty.to_csv(tmp_path / "empty.csv")
    assert read_csv(tmp_path / "empty.csv") == []
