"""What each trial printed can be read afterwards, in a file of its own, of bounded length."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import OptionError
from autohpo.execution.logs import KEPT_BYTES, SlotLog
from autohpo.outputs import FOLDER, Outputs, read_output
from autohpo.result import Result

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers print to files")


def talkative(hps, trial):
    """Says its number; trial 2 dies, trial 3 says nothing, trial 4 says something through a child."""
    if trial.number != 3:
        print("this is", trial.number)
    if trial.number == 2:
        print("no newline", end="", flush=True)
        os.kill(os.getpid(), 9)
    if trial.number == 4:
        os.system("echo from a child; echo an error >&2")
    return hps["x"]


def search(**options):
    """A search of six trials in two workers."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], talkative, max_evals=6, seed=0)
    hpo.optimize(num_workers=2, progress=False, **options)
    return hpo.result


@pytest.mark.parametrize("has_store", [True, False])
def test_each_trial_has_its_own_output(tmp_path, has_store):
    """Also one whose process died, and without a store as long as the result lives."""
    store = tmp_path / "run.db"
    result = search(store=store) if has_store else search()
    for read in [result, Result.load(store)] if has_store else [result]:
        assert [read.output(number) for number in (0, 1, 3, 5)] == ["this is 0\n", "this is 1\n", "", "this is 5\n"]
        assert read.output(2) == "this is 2\nno newline"
        assert read.output(4) == "this is 4\nfrom a child\nan error\n"
        assert read.output(0, attempt=2) == ""


def test_each_attempt_has_its_own_output(tmp_path):
    """That of the last one is meant, if none is named."""
    result = search(store=tmp_path / "run.db", retries={"CRASHED": 1})
    assert result.trials[2].attempt == 2
    assert [result.output(2, attempt) for attempt in (1, 2, None)] == ["this is 2\nno newline"] * 3
    with pytest.raises(OptionError, match="number: must be"):
        result.output(6)
    with pytest.raises(OptionError, match="attempt: must be"):
        result.output(2, attempt="last")


def test_a_trial_in_this_process_prints_as_usual(tmp_path, capsys):
    """Nothing is captured there."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: print("here") or 1.0, max_evals=1)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    assert (hpo.result.output(0), capsys.readouterr().out) == ("", "here\n")


@pytest.mark.parametrize("cuts", [0, 1, 3])
def test_of_a_long_output_the_head_and_the_tail_stay(tmp_path, cuts):
    """With a note of exactly what is left out, however often the log was cut while it ran."""
    log = SlotLog(tmp_path / "slot-0.log", tmp_path / "spare")
    try:
        with open(log.path, "ab", buffering=0) as file:
            file.write(b"of another trial")
            start, printed = log.begin_trial(), 0
            for part in range(4):
                text = f"part {part} begins;".encode() + b"x" * (17 << 20) + b"; and ends"
                file.write(text)
                printed += len(text)
                if part < cuts:
                    log.shorten(start)
        text = log.output(start)
    finally:
        log.close()
    assert text.startswith(b"part 0 begins;xxx")
    assert text.endswith(b"xxx; and ends")
    n = int(text.split(b" bytes left out")[0].rsplit(b" ", 1)[1])
    assert text.count(b"left out") == 1
    assert len(text) - len(f"\n... {n} bytes left out ...\n") == 2 * KEPT_BYTES
    assert n + 2 * KEPT_BYTES == printed


def test_a_log_is_short_when_its_trial_has_ended(tmp_path, monkeypatch):
    """Also where nobody has looked at it since the flood: 40 MB in a moment, and the search is over."""
    monkeypatch.setattr("autohpo.execution.slot.Slot.check", lambda slot: [])

    def f(hps):
        os.write(1, b"x" * 40_000_000)
        return 1.0

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=1)
    hpo.optimize(executor="local", store=tmp_path / "run.db", progress=False)
    assert (tmp_path / "run.db.files" / "logs" / "slot-0.log").stat().st_size < 3_000_000
    assert len(hpo.result.output(0)) == len("\n... 37902848 bytes left out ...\n") + 2 * KEPT_BYTES


def test_the_outputs_of_a_run_are_bounded_together(tmp_path):
    """Those that ended first go, also those of an earlier driver; the last one always stays."""
    first = Outputs(tmp_path, most_bytes=100)
    for number in range(3):
        first.keep(number, 1, b"x" * 30)
        os.utime(tmp_path / FOLDER / f"{number}-1.txt", (number, number))
    second = Outputs(tmp_path, most_bytes=100)
    second.keep(3, 1, b"y" * 30)
    assert [bool(read_output(tmp_path, number, 1)) for number in range(4)] == [False, True, True, True]
    second.keep(4, 1, b"z" * 200)
    assert [bool(read_output(tmp_path, number, 1)) for number in range(5)] == [False] * 4 + [True]


def test_what_stands_in_place_of_an_output_is_neither_followed_nor_waited_for(tmp_path):
    """A run folder from elsewhere may have links and pipes in it."""
    (tmp_path / FOLDER).mkdir()
    secret, pipe = tmp_path / "secret", tmp_path / FOLDER / "2-1.txt"
    secret.write_text("secret")
    (tmp_path / FOLDER / "1-1.txt").symlink_to(secret)
    os.mkfifo(pipe)
    assert read_output(tmp_path, 1, 1) == read_output(tmp_path, 2, 1) == ""
    Outputs(tmp_path).keep(1, 1, b"mine")
    assert (secret.read_text(), read_output(tmp_path, 1, 1)) == ("secret", "mine")


def test_hosts_have_folders_of_their_own(tmp_path):
    """Each trial ran on one of them."""
    Outputs(tmp_path / "host-3").keep(7, 2, b"far away")
    assert read_output(tmp_path, 7, 2) == "far away"


def test_a_search_goes_on_where_outputs_cannot_be_kept(tmp_path, caplog):
    """A file stands where the folder would be: it is said once."""
    (tmp_path / FOLDER).write_text("")
    outputs = Outputs(tmp_path)
    with caplog.at_level(logging.WARNING, "autohpo"):
        for number in range(3):
            outputs.keep(number, 1, b"text")
    assert len(caplog.records) == 1
    assert read_output(tmp_path, 0, 1) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors")
def test_reading_and_writing_leaves_nothing_open(tmp_path):
    """Descriptors before and after."""
    before = len([*Path("/proc/self/fd").iterdir()])
    outputs = Outputs(tmp_path)
    for number in range(50):
        outputs.keep(number, 1, b"text")
        read_output(tmp_path, number, 1)
    assert len([*Path("/proc/self/fd").iterdir()]) <= before


def test_half_of_an_output_does_not_stay(tmp_path, monkeypatch):
    """Of a disk that is full: the next one may find room again."""
    import resource

    outputs = Outputs(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(outputs, "_has_said", True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        outputs.keep(0, 1, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [*(tmp_path / FOLDER).iterdir()] == []
    outputs.keep(1, 1, b"well")
    assert read_output(tmp_path, 1, 1) == "well"
