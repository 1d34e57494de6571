"""What lines say, and what they come to."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo.commands.lines import MAX_LINE_BYTES, TAIL_BYTES, Lines, Tail
from autohpo.commands.reading import Found, Reading
from autohpo.commands.readings import MAX_METRICS, Readings, Report


def read(line, *metrics, **options):
    """What a line says where some metrics matter."""
    return Reading(metrics or ("acc",), **options).read(line)


@pytest.mark.parametrize(
    ("line", "metrics", "counts"),
    [
        ('{"epoch": 3, "acc": 0.5, "loss": 2}', {"acc": 0.5, "loss": 2.0}, {"epoch": 3.0}),
        ('  INFO:root: {"acc": 0.5} \x1b[0m', {"acc": 0.5}, {}),
        ('{"acc": "0.5", "name": "run", "step": "7"}', {"acc": 0.5}, {"step": 7.0}),
        ('{"acc": true, "none": null, "list": [1]}', {"acc": 1.0}, {}),
        ('{"acc": -Infinity}', {"acc": -math.inf}, {}),
        ('{"acc": "inf"}', {"acc": math.inf}, {}),
        ('{"acc": 1e999}', {"acc": math.inf}, {}),
        (f'{{"acc": 1{"0" * 400}}}', {"acc": math.inf}, {}),
        ('{"val": {"acc": 0.5, "deep": {"er": 1}}, "epoch": 1}', {"val/acc": 0.5, "val/deep/er": 1.0}, {"epoch": 1.0}),
        (
            '{"title": "validation", "series": "acc", "value": 0.8, "iteration": 3}',
            {"validation/acc": 0.8},
            {"iteration": 3.0},
        ),
        ('{"title": "loss", "value": "0.8"}', {"loss": 0.8}, {}),
        ('{"title": "a book", "pages": 3}', {"pages": 3.0}, {}),
        ('{"epoch": 2, "step": 200, "acc": 0.5}', {"acc": 0.5}, {"epoch": 2.0, "step": 200.0}),
    ],
)
def test_a_line_of_json_is_numbers_by_name(line, metrics, counts):
    """What is no number is no metric; the usual names of fidelities are none either."""
    assert read(line) == Found(metrics, counts)


def test_nan_is_read_as_what_it_is():
    """Python writes NaN, others a string."""
    for line in ('{"acc": NaN}', '{"acc": "nan"}'):
        found = read(line)
        assert found is not None
        assert math.isnan(found.metrics["acc"])


@pytest.mark.parametrize(
    "line",
    ["", "acc=0.5", "[1, 2]", "{", "}{", "{acc: 0.5}", '{"acc": 0.5', "{}", '{"a": "b"}', "{" * 10_000 + "}" * 10_000]
    + ['{"a":' * 100_000 + "1" + "}" * 100_000, f'{{"acc": {"9" * 10_000}}}'],
    ids=range(12),
)
def test_other_lines_say_nothing_and_do_no_harm(line):
    """Among them such as other readers of JSON break at."""
    assert read(line) is None


@given(st.text(max_size=60))
@settings(deadline=None)
def test_no_line_is_an_error(line):
    """Whatever a program prints."""
    for pattern in (None, r"acc=(\S+)", {"acc": r"(\d+)", "epoch": "e(.)"}):
        read(line, pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "line", "metrics", "counts"),
    [
        (r"acc=(\S+)", "epoch 3: acc=0.5", {"acc": 0.5}, {}),
        (r"epoch (?P<epoch>\d+).*acc=(\S+)", "epoch 3: acc=0.5", {"acc": 0.5}, {"epoch": 3.0}),
        (r"(?P<loss>\S+) (?P<acc>\S+)", "1.5 0.5", {"acc": 0.5, "loss": 1.5}, {}),
        ({"acc": r"acc=(\S+)", "epoch": r"^(\d+)"}, "3 acc=0.5", {"acc": 0.5}, {"epoch": 3.0}),
        ({"acc": r"acc=(\S+)", "loss": r"loss=(\S+)"}, "loss=1.5", {"loss": 1.5}, {}),
    ],
)
def test_a_pattern_finds_numbers_by_its_groups(pattern, line, metrics, counts):
    """An unnamed group is the one metric."""
    assert read(line, pattern=pattern) == Found(metrics, counts)


def test_what_a_pattern_finds_must_be_a_number():
    """Else the line says nothing."""
    assert read("acc=high", pattern=r"acc=(\S+)") is None


def test_only_readings_that_may_name_a_fidelity_can_report():
    """A pattern without a group for it cannot."""
    assert Reading(("acc",)).has_fidelity
    assert not Reading(("acc",), r"acc=(\S+)").has_fidelity
    assert Reading(("acc",), r"(?P<step>\d+) (?P<acc>\S+)").has_fidelity
    assert not Reading(("acc",), r"(?P<step>\d+) (?P<acc>\S+)", "epoch").has_fidelity
    assert Reading(("acc",), {"acc": "a(.)", "epoch": "e(.)"}).has_fidelity


def reports_of(lines, *metrics, offset=0.0, **options):
    """The reports that lines lead to, and what they came to."""
    readings = Readings(Reading(metrics or ("acc",), **options), offset)
    return [report for line in lines if (report := readings.add(line))], readings


def test_a_line_with_a_metric_and_a_fidelity_is_a_report():
    """With the other numbers of the same fidelity, also those of earlier lines; lines without one are none."""
    lines = [
        '{"epoch": 1, "loss": 3}',
        '{"epoch": 1, "acc": 0.1}',
        '{"epoch": 1, "time": 9}',
        '{"epoch": 2, "acc": 0.2, "loss": 2}',
        '{"acc": 0.9, "loss": 5}',
    ]
    reports, readings = reports_of(lines)
    assert reports == [Report(1, {"acc": 0.1}, {"loss": 3.0}), Report(2, {"acc": 0.2}, {"loss": 2.0})]
    assert readings.last == {"acc": 0.9}
    assert readings.tally.values == {"loss": (5.0, 2.0, 5.0), "acc": (0.9, 0.1, 0.9), "time": (9.0, 9.0, 9.0)}


def test_several_objectives_may_come_in_several_lines():
    """Such as ClearML's, each with one metric."""
    lines = [
        json.dumps({"title": title, "series": "x", "value": value, "iteration": epoch})
        for epoch in (1, 2)
        for title, value in (("acc", epoch / 10), ("ms", epoch))
    ]
    reports, readings = reports_of(lines, "acc/x", "ms/x")
    assert [(r.fidelity, r.values) for r in reports] == [
        (1, {"acc/x": 0.1, "ms/x": 1.0}),
        (2, {"acc/x": 0.2, "ms/x": 2.0}),
    ]
    assert readings.last == {"acc/x": 0.2, "ms/x": 2.0}


def test_the_name_of_the_fidelity_is_that_of_the_first_line_with_the_metric():
    """A program may count steps in some lines and epochs in others."""
    lines = [
        '{"step": 10, "loss": 1}',
        '{"epoch": 1, "acc": 0.1}',
        '{"step": 20, "acc": 0.5}',
        '{"epoch": 2, "acc": 0.2}',
    ]
    assert [report.fidelity for report in reports_of(lines)[0]] == [1, 2]
    assert [report.fidelity for report in reports_of(lines, fidelity_key="step")[0]] == [20]


def test_programs_that_count_from_0_have_an_offset():
    """Then the first epoch is 1 of training."""
    reports, _ = reports_of(['{"epoch": 0, "acc": 0.1}', '{"epoch": 1.5, "acc": 0.1}'], offset=1)
    assert [report.fidelity for report in reports] == [1, 2.5]


def test_patterns_may_find_the_fidelity_in_a_line_before():
    """As in the log of Keras."""
    lines = ["Epoch 1/9", "loss: 3 val_acc: 0.1", "Epoch 2/9", "bar", "loss: 2 val_acc: 0.2"]
    pattern = {"epoch": r"^Epoch (\d+)", "val_acc": r"val_acc: (\S+)", "loss": r"loss: (\S+)"}
    reports, _ = reports_of(lines, "val_acc", pattern=pattern)
    assert [(r.fidelity, r.values["val_acc"], r.metrics) for r in reports] == [
        (1, 0.1, {"loss": 3.0}),
        (2, 0.2, {"loss": 2.0}),
    ]


def test_a_metric_that_is_not_finite_is_left_out_unless_it_matters():
    """The trial is not to fail for the norm of a gradient."""
    reports, readings = reports_of(['{"epoch": 1, "acc": 0.1, "norm": NaN}', '{"epoch": NaN, "acc": 0.2}'])
    assert reports == [Report(1, {"acc": 0.1}, {})]
    assert "norm" not in readings.tally.values
    (report,), readings = reports_of(['{"epoch": 1, "acc": NaN}'])
    assert math.isnan(report.values["acc"])
    assert math.isnan(readings.last["acc"])


def test_programs_that_number_their_metrics_do_not_fill_the_log():
    """So many are kept, and what matters always."""
    _, readings = reports_of([json.dumps({f"m{i}": i}) for i in range(1000)] + ['{"acc": 1}'])
    assert len(readings.tally.values) == MAX_METRICS + 1
    assert readings.last == {"acc": 1.0}


@given(st.lists(st.binary(max_size=30), max_size=6), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_lines_do_not_depend_on_where_bytes_are_cut(pieces, random):
    """The oracle splits all of them at once."""
    data = b"".join(pieces)
    lines, found, at = Lines(), [], 0
    while at < len(data):
        n = random.randint(1, 9)
        found += lines.feed(data[at : at + n])
        at += n
    found.append(lines.rest())
    wanted = data.replace(b"\r", b"\n").split(b"\n")
    assert [line for line in found if line] == [line.decode("utf-8", "replace") for line in wanted if line]


def test_a_line_of_megabytes_is_read_and_one_above_the_limit_is_skipped():
    """In pieces as a pipe gives them; the lines behind it count again."""
    padding = "x" * 5_000_000
    lines = Lines()
    data = json.dumps({"pad": padding, "acc": 0.5}).encode() + b"\n" + b"y" * (MAX_LINE_BYTES + 1) + b"\nend\n"
    found = [line for at in range(0, len(data), 65536) for line in lines.feed(data[at : at + 65536])]
    assert [len(line) for line in found] == [len(padding) + 23, 3]
    assert read(found[0]) == Found({"acc": 0.5})
    assert lines.rest() == ""


def test_the_tail_of_an_output_is_what_a_terminal_would_show():
    """Of a progress bar its last state; long lines are cut, and what is old is forgotten."""
    tail = Tail()
    for i in range(10_000):
        tail.add(f"line {i}\n".encode())
    tail.add(b"\r10%\r20%\nfile \xff\r\n" + b"z" * 5000 + b"\n\n")
    *_, before, bar, broken, long = tail.lines(20)
    assert (before, bar, broken) == ("line 9999", "20%", "file �")
    assert len(tail.lines(20)) == 20
    assert len(long) == 505
    tail.add(b"w" * (TAIL_BYTES * 3))
    assert len(b"".join(tail._parts)) <= 2 * TAIL_BYTES
