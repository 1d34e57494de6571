"""The conformance checks of stores: ours pass, each goes red on a fault planted for it, and a third party's serves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from autohpo import LogRangeHP, TrialState, build_hpo_from_name
from autohpo.errors import RunBusyError, StoreError, StoreMismatchError
from autohpo.store import LogEvent, MemoryStore, SQLiteStore, Store
from autohpo.store.base import check_header, check_json
from autohpo.testing import STORE_CHECKS, ConformanceError, check_store, store_checks
from autohpo.testing.checks import run_checks
from autohpo.testing.store_case import StoreCase

FOLDER: list[Path] = []  # of the test that runs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of the test, where the stores under check are."""
    FOLDER.append(tmp_path)
    yield tmp_path
    FOLDER.pop()


class LinesStore(Store):
    """A third party's store: a line of JSON for each append, in a folder of its own, with its files beside it."""

    owners: ClassVar[dict[Path, LinesStore]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "log.jsonl"
        self.is_open = False

    def open(self) -> None:
        if self.owners.get(self.folder, self) is not self:
            raise RunBusyError(f"store: {self.folder} is in use")
        self.owners[self.folder] = self
        self.folder.mkdir(parents=True, exist_ok=True)
        self.is_open = True

    def lines(self) -> list[Any]:
        """What was appended, line by line; the first may be the header."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def write(self, line: Any) -> None:
        """Append a line."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def begin(self, header: Mapping[str, Any]) -> None:
        if self.header is None:
            self.write(dict(header))
        else:
            check_header(self.header, json.loads(json.dumps(header)), str(self.path))

    @property
    def header(self) -> Mapping[str, Any] | None:
        return next((line for line in self.lines() if isinstance(line, dict)), None)

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        for event in events:
            check_json(event.data)
        once = [(e.kind, e.trial) for e in [*self.events(), *events] if e.kind in ("ask", "end")]
        if len(set(once)) < len(once):
            raise StoreError("store: a second ask or end of a trial")
        if events:
            self.write([event[:5] for event in events])

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        kept = [event for line in self.lines() if isinstance(line, list) for event in line]
        return iter([LogEvent._make([*event, seq]) for seq, event in enumerate(kept, start=1)][after:])

    def close(self) -> None:
        if self.is_open:
            self.owners.pop(self.folder, None)
        self.is_open = False


def make_lines(name: str, kind: type[LinesStore] = LinesStore) -> LinesStore:
    """The third party's store of a run."""
    return kind(FOLDER[-1] / name)


def sqlite(name: str, *, read_only: bool = False) -> SQLiteStore:
    """Our store of a run."""
    return SQLiteStore(FOLDER[-1] / f"{name}.db", read_only=read_only)


MEMORY: dict[str, MemoryStore] = {}


def memory(name: str) -> MemoryStore:
    """The store of a run in memory."""
    return MEMORY.setdefault(name, MemoryStore())


def states(results: Sequence[Any]) -> dict[str, str]:
    """How each check ended that did not pass."""
    return {result.name: result.state for result in results if result.state != "passed"}


def test_our_stores_conform() -> None:
    """Both pass every check; in memory there is no reader beside the driver."""
    assert states(check_store(sqlite, read=lambda name: sqlite(name, read_only=True))) == {}
    assert states(check_store(memory, destroy=MEMORY.pop)) == {"is_read_while_it_is_written": "skipped"}
    assert MEMORY == {}


def test_a_third_partys_store_conforms() -> None:
    """The checks ask for nothing that only ours can do."""
    results = check_store(
        make_lines, read=make_lines, destroy=lambda name: shutil.rmtree(FOLDER[-1] / name, ignore_errors=True)
    )
    assert states(results) == {}
    assert list(FOLDER[-1].iterdir()) == []


@pytest.mark.parametrize("check", store_checks(sqlite), ids=str)
def test_the_checks_may_be_run_one_by_one(check: Any) -> None:
    """As in a third party's own tests."""
    check()


# One fault for each check.


class KeepsNoLateEnds(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        super().append([event for event in events if event.kind != "late"], sync=sync)


class ReversesAnAppend(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        super().append(list(reversed(events)), sync=sync)


class NumbersFromNought(LinesStore):
    def events(self, after: int = 0) -> Iterator[LogEvent]:
        return (event._replace(seq=event.seq - 1) for event in super().events(after))


class CountsTheEmptyAppend(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        super().append(events or [LogEvent("report", 0)], sync=sync)


class IncludesThePlace(LinesStore):
    def events(self, after: int = 0) -> Iterator[LogEvent]:
        return super().events(max(0, after - 1))


class KeepsTheFirstHalf(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        for event in events:
            super().append([event], sync=sync)


class TakesASecondEnd(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        for event in events:
            check_json(event.data)
        self.write([event[:5] for event in events])


class KeepsEachKindOnce(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        known = {(event.kind, event.attempt, event.trial) for event in self.events() if event.kind == "start"}
        super().append([e for e in events if (e.kind, e.attempt, e.trial) not in known], sync=sync)


class RoundsNumbers(LinesStore):
    def lines(self) -> list[Any]:
        text = self.path.read_text().splitlines() if self.path.exists() else []
        return [json.loads(line, parse_float=lambda digits: float(f"{float(digits):.12g}")) for line in text]


class MakesFloatsOfInts(LinesStore):
    def lines(self) -> list[Any]:
        text = self.path.read_text().splitlines() if self.path.exists() else []
        return [json.loads(line, parse_int=lambda n: int(n) if len(n) < 16 else float(n)) for line in text]


class LosesNulls(LinesStore):
    def write(self, line: Any) -> None:
        super().write(json.loads(json.dumps(line).replace("\\u0000", "")))


class CutsLongTexts(LinesStore):
    def write(self, line: Any) -> None:
        line = json.loads(json.dumps(line))
        for event in line if isinstance(line, list) else []:
            event[3].update({"error": event[3]["error"][:65535]} if "error" in event[3] else {})
        super().write(line)


class TakesNaN(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        finite = [event for event in events if "nan" not in repr(event.data)]
        super().append(finite, sync=sync)


class ForgetsWhatIsNotSynced(LinesStore):
    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        if sync:
            super().append(events, sync=sync)


class ReadsFromTheEnd(LinesStore):
    def events(self, after: int = 0) -> Iterator[LogEvent]:
        n = len(list(super().events(after)))
        for place in range(n, 0, -1):
            yield list(super().events(after))[-place]


class ForgetsTheHeader(LinesStore):
    kept: Mapping[str, Any] | None = None

    def begin(self, header: Mapping[str, Any]) -> None:
        if self.kept is not None:
            check_header(self.kept, header, "here")
        self.kept = self.kept or dict(header)

    @property
    def header(self) -> Mapping[str, Any] | None:
        return self.kept


class ComparesTheName(LinesStore):
    def begin(self, header: Mapping[str, Any]) -> None:
        if self.header is not None and self.header != header:
            raise StoreMismatchError("store: algorithm options.seed options.noise options.eta space.parameters[0].low")
        super().begin(header)


class ComparesTheTextOfTheHeader(LinesStore):
    def begin(self, header: Mapping[str, Any]) -> None:
        if self.header is not None and json.dumps(self.header) != json.dumps(header):
            raise StoreMismatchError("store: algorithm options.seed options.noise options.eta space.parameters[0].low")
        super().begin(header)


class TakesAnyHeader(LinesStore):
    def begin(self, header: Mapping[str, Any]) -> None:
        if self.header is None:
            super().begin(header)


class ReplacesTheHeader(LinesStore):
    def begin(self, header: Mapping[str, Any]) -> None:
        try:
            super().begin(header)
        except StoreMismatchError:
            _, *rest = self.lines()
            self.path.write_text("".join(json.dumps(line) + "\n" for line in [dict(header), *rest]))
            raise


class BeginsAnew(LinesStore):
    def open(self) -> None:
        super().open()
        if self.header is None:
            self.path.unlink(missing_ok=True)


class SharesOneFolder(LinesStore):
    @property
    def files(self) -> Path:
        return self.folder.parent / "files"


class ClosesOnce(LinesStore):
    def close(self) -> None:
        if not self.is_open:
            raise StoreError("store: is closed")
        super().close()


class MovesItsFiles(LinesStore):
    n_opened = 0

    def open(self) -> None:
        super().open()
        MovesItsFiles.n_opened += 1

    @property
    def files(self) -> Path:
        return self.folder / f"files-{self.n_opened}"


class RemovesItsFiles(LinesStore):
    def close(self) -> None:
        super().close()
        shutil.rmtree(self.files, ignore_errors=True)


class LetsEverybodyIn(LinesStore):
    def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.is_open = True


class FreesWhatItNeverHad(LinesStore):
    def close(self) -> None:
        self.owners.pop(self.folder, None)
        self.is_open = False


class RemembersWhatItRead(LinesStore):
    read: list[Any] | None = None

    def lines(self) -> list[Any]:
        if self.is_open:
            return super().lines()
        self.read = super().lines() if self.read is None else self.read
        return self.read


FAULTS: dict[str, list[type[LinesStore]]] = {
    "returns_what_was_appended": [KeepsNoLateEnds, ReversesAnAppend],
    "numbers_events_without_gaps": [NumbersFromNought, CountsTheEmptyAppend],
    "returns_the_events_behind_a_place": [IncludesThePlace],
    "refuses_a_second_ask_or_end": [TakesASecondEnd, KeepsTheFirstHalf],
    "takes_every_other_kind_again": [KeepsEachKindOnce],
    "keeps_json_types": [RoundsNumbers, MakesFloatsOfInts],
    "keeps_any_text": [LosesNulls],
    "keeps_large_events": [CutsLongTexts],
    "refuses_what_json_cannot_hold": [TakesNaN],
    "keeps_what_it_need_not_sync": [ForgetsWhatIsNotSynced],
    "may_be_appended_to_while_it_is_read": [ReadsFromTheEnd],
    "keeps_the_header": [ForgetsTheHeader],
    "takes_the_same_header_again": [ComparesTheName, ComparesTheTextOfTheHeader],
    "refuses_another_header": [TakesAnyHeader, ReplacesTheHeader],
    "opens_again_with_all_it_had": [BeginsAnew],
    "keeps_runs_apart": [SharesOneFolder],
    "closes_twice": [ClosesOnce],
    "keeps_its_files": [MovesItsFiles, RemovesItsFiles],
    "refuses_a_second_driver": [LetsEverybodyIn, FreesWhatItNeverHad],
    "is_read_while_it_is_written": [RemembersWhatItRead],
    "carries_a_search": [RoundsNumbers],
}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in FAULTS.items() for kind in kinds])
def test_every_check_goes_red_on_a_fault_planted_for_it(name: str, kind: type[LinesStore]) -> None:
    """And says what it wanted and what it got; it stays green without the fault."""
    case = StoreCase(lambda run: make_lines(run, kind), read=lambda run: make_lines(run, kind))
    check = next(check for check in STORE_CHECKS if check.name == name)
    with pytest.raises(ConformanceError, match=f"- {name}: wanted") as caught:
        run_checks("store", [check], case)
    assert check.demand in str(caught.value)


def test_every_check_has_a_fault() -> None:
    """A check that nothing turns red checks nothing."""
    assert list(FAULTS) == [check.name for check in STORE_CHECKS]


# A third party's store in use.


def test_checkpoints_in_a_third_partys_store_outlive_the_search() -> None:
    """A generator that saves each epoch goes on from there after a new start, and trains no epoch twice."""
    trained: list[tuple[float, int]] = []

    def epochs(hps: dict[str, Any], trial: Any) -> Iterator[float]:
        state = trial.checkpoint_dir / "epoch"
        done = int(state.read_text()) if state.exists() else 0
        trial.resume_at(done)
        for epoch in range(done + 1, 10):
            trained.append((hps["lr"], epoch))
            state.write_text(str(epoch))
            yield -abs(hps["lr"] - 0.01) / epoch

    def search(max_evals: int) -> Any:
        options = {"min_fidelity": 1, "max_fidelity": 9, "max_evals": max_evals, "seed": 0}
        hpo = build_hpo_from_name("hyperband", [LogRangeHP("lr", 1e-4, 1e-1)], epochs, **options)
        hpo.optimize(store=LinesStore(FOLDER[-1] / "run"), progress=False)
        return hpo.result

    for max_evals in (9, 11, 13, 20):  # the rungs of a bracket lie in different searches
        result = search(max_evals)
    assert len(result) == 20
    assert {trial.state for trial in result} == {TrialState.COMPLETE}
    assert result.files == FOLDER[-1] / "run" / "files"
    promoted = [trial for trial in result if trial.resume is not None]
    assert len(promoted) >= 4
    assert len(trained) == len(set(trained))
    full = [trial.hp["lr"] for trial in result if trial.fidelity == 9]
    assert full
    for lr in full:
        assert [epoch for value, epoch in trained if value == lr] == list(range(1, 10))
