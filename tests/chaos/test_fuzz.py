"""Malformed input: a few cases of each kind, by a generator and by Hypothesis; ``fuzz.py`` runs any number."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzz
import fuzz_mutations
import pytest
from fuzz_draws import Draws, shrunk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autohpo import (
    ChoiceHP,
    OptionError,
    RangeHP,
    RegistryError,
    SearchSpace,
    SpaceError,
    build_hpo_from_name,
    open_store,
)
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import StoreCorruptError
from autohpo.store import repair
from autohpo.store.rows import crc_of

N_OF_EACH = 40


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fuzz.Bench]:
    """A place where cases run."""
    made = fuzz.Bench(tmp_path_factory.mktemp("fuzz"))
    with made.ready():
        fuzz.warm_up()
        yield made


@pytest.mark.parametrize("kind", list(fuzz.KINDS))
def test_only_errors_of_ours_come_out(bench: fuzz.Bench, kind: str) -> None:
    """From every door, with a text, in time, and with nothing left behind."""
    for i in range(N_OF_EACH):
        fault = bench.judge(kind, Draws.of(f"short-{kind}-{i}"))
        assert fault is None, f"--only {kind}:short-{kind}-{i}\n{fault}"
    assert bench.counts[kind]["typed"] or kind in ("config_files", "tables", "store_bytes")


@pytest.mark.parametrize("kind", ["spaces", "configurations", "options", "documents", "logs"])
def test_hypothesis_finds_nothing_either(bench: fuzz.Bench, kind: str) -> None:
    """It draws otherwise, and makes what it finds smaller by itself."""

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        fault = bench.judge(kind, Draws(lambda n: data.draw(st.integers(0, n - 1))))
        assert fault is None, fault

    check()


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("KeyError at", lambda d, room: {}["x"]),
        ("temporary files left", lambda d, room: __import__("tempfile").mkdtemp()),
        ("left changed: environment", lambda d, room: __import__("os").environ.update(FUZZED="1")),
        ("RuntimeError at", lambda d, room: d.call("f", _silent)),
    ],
)
def test_what_is_wrong_is_found(bench: fuzz.Bench, monkeypatch: pytest.MonkeyPatch, what: str, wrong: Any) -> None:
    """Each rule of the fuzzer can fail."""
    monkeypatch.setitem(fuzz.KINDS, "planted", (1, wrong))
    monkeypatch.setenv("FUZZED", "0")
    fault = bench.judge("planted", Draws.of("0"))
    assert fault is not None
    assert fault.where.startswith(what)


def _silent() -> None:
    raise OptionError("")


def test_a_hang_is_found(bench: fuzz.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm ends it."""
    monkeypatch.setattr(fuzz, "LIMIT_SECONDS", 0.05)
    monkeypatch.setitem(fuzz.KINDS, "planted", (1, lambda d, room: [None for _ in iter(int, 1)]))
    fault = bench.judge("planted", Draws.of("0"))
    assert fault is not None
    assert fault.where.startswith("Hang")


def test_a_fault_is_made_small() -> None:
    """The fewest and smallest choices that still give it."""
    made = [3, 9, 0, 7, 1, 4, 9, 2]

    def gives(choices: list[int]) -> bool:
        d = Draws(None, choices)
        return [d.index(10) for _ in range(8)].count(9) >= 1

    assert shrunk(made, gives) == [9]  # type: ignore[arg-type]


def test_a_case_is_a_function_of_its_seed() -> None:
    """Also in another process: what is printed can be made again."""
    made = fuzz_mutations.mutated(Draws.of("a"), {"x": [1, 2], "y": {"z": "text"}}, fuzz_mutations.json_value)
    again = fuzz_mutations.mutated(Draws.of("a"), {"x": [1, 2], "y": {"z": "text"}}, fuzz_mutations.json_value)
    assert repr(made) == repr(again)


def test_the_long_form_prints_counts_and_ends_with_0() -> None:
    """As it is called by hand."""
    words = [sys.executable, str(Path(fuzz.__file__)), "--n", "30", "--kinds", "urls", "commands", "--processes", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done
    assert '"kind": "all", "cases": 30,' in done.stdout.splitlines()[-1]


# What it has found once.


def test_a_method_of_a_built_in_class_may_be_a_choice(tmp_path: Path) -> None:
    """It has no module; its name is that of its class."""
    space = [ChoiceHP("c", [str.upper, str.lower]), RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name("random", space, lambda hps: float(len(hps["c"]("abc"))), max_evals=3, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    again = build_hpo_from_name("random", space, lambda hps: float(len(hps["c"]("abc"))), max_evals=5, seed=0)
    again.optimize(store=tmp_path / "run.db", progress=False)
    assert len(again.result) == 5


def test_choices_below_choices_can_be_kept_as_deep_as_files_allow(tmp_path: Path) -> None:
    """A store that was written can be read; what is deeper is refused before it is written."""

    def nested(n: int) -> Any:
        parameter: Any = ChoiceHP("c", [1, 2])
        for i in range(n):
            parameter = ChoiceHP(f"c{i}", ["a", "b"], children={"a": [parameter]})
        return SearchSpace([parameter])

    for n in (2, 3):
        hpo = build_hpo_from_name("random", nested(40), lambda hps: 0.5, max_evals=n, seed=0)
        hpo.optimize(store=tmp_path / "deep.db", progress=False)
    for depth in (90, 400):
        with pytest.raises(SpaceError, match="space: (must be at most|cannot be read: RecursionError)"):
            build_hpo_from_name("random", nested(depth), lambda hps: 0.5, max_evals=2, seed=0).optimize(
                store=tmp_path / f"{depth}.db", progress=False
            )


def test_values_that_hold_themselves_are_refused() -> None:
    """They have no text, no hash and no form in JSON."""
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    with pytest.raises(SpaceError, match="must not hold themselves"):
        ChoiceHP("c", [cyclic, 2])
    with pytest.raises(SpaceError, match="c: must be a value of"):
        SearchSpace([ChoiceHP("c", [[1, 2], 2])]).check({"c": cyclic})


def test_an_illegal_configuration_is_named_wherever_it_is_used() -> None:
    """Also where nobody checks it first."""
    space = SearchSpace([ChoiceHP("c", ["a", "b"])])
    for use in (space.to_json, space.key, lambda hp: space.encode([hp])):
        with pytest.raises(SpaceError, match="c: must be a value of"):
            use({"c": {}})
    for data in (None, {"c": []}, {"c": 9}):
        with pytest.raises(SpaceError, match="must be as to_json\\(\\) gives it"):
            space.from_json(data)  # type: ignore[arg-type]


def test_a_class_with_an_attribute_in_place_of_a_hook_is_refused() -> None:
    """When it is registered, not in the middle of a search."""
    base = build_hpo_from_name("random", [ChoiceHP("c", [1])]).__class__
    for name, value in [("training_plan", 0.5), ("linear_algebra", True), ("supports", "constraints"), ("ask", None)]:
        with pytest.raises(RegistryError, match=name):
            register_hpo("odd_one")(type("Odd", (base,), {name: value}))


def test_a_store_with_a_damaged_header_is_given_free(tmp_path: Path) -> None:
    """At once: whoever is told to repair it must be able to."""
    path = tmp_path / "run.db"
    build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: 0.5, max_evals=2).optimize(
        store=path, progress=False
    )
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE header SET data = '[]', crc = ?", (crc_of("[]"),))
    before = list(Path("/proc/self/fd").iterdir())
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: 0.5, max_evals=2)
    with pytest.raises(StoreCorruptError):
        hpo.optimize(store=path, progress=False)
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
    assert repair(path, tmp_path / "saved.db").n_lost == 0


def test_a_name_too_long_for_a_file_is_an_error_of_ours() -> None:
    """In a URL, too."""
    with pytest.raises(OptionError, match="store: must be a path"):
        open_store("file:" + "9" * 400)


def test_the_number_of_a_worker_is_an_integer() -> None:
    """What a log cannot hold is refused before anything depends on it."""
    hpo = build_hpo_from_name("random", [ChoiceHP("c", [1])])
    for pid in ("w1", None, 2.5, iter([1]), 2**64):
        with pytest.raises(OptionError, match="pid: must be an integer"):
            hpo.ask(pid)  # type: ignore[arg-type]
