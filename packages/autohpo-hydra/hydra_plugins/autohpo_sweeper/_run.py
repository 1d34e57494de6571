"""The loop of a sweep: suggestions become batches of jobs, and what these return goes into the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from hydra_plugins.autohpo_sweeper._records import Records
from hydra_plugins.autohpo_sweeper._settings import Settings
from hydra_plugins.autohpo_sweeper._space import Overrides, read
from omegaconf import DictConfig, OmegaConf

from autohpo.errors import InvalidPerfError, NotReady, OptimizationComplete, SpaceError
from autohpo.folders import checkpoint_dir
from autohpo.run_options import MAX_LOST
from autohpo.search import Search
from autohpo.store import open_store
from autohpo.trial import Outcome, Suggestion, Trial, TrialState

log = logging.getLogger(__name__)


class SweepRun:
    """A sweep.

    Args:
        settings: The options of the sweeper.
        config: The whole configuration.
        context: Hydra's context.
        validate: A function that raises unless all jobs of a batch can be composed.

    Attributes:
        records: What jobs wrote down themselves.
    """

    def __init__(
        self,
        settings: Settings,
        config: DictConfig,
        context: HydraContext,
        validate: Callable[[Sequence[Sequence[str]]], None],
    ) -> None:
        self._settings, self._config, self._context, self._validate = settings, config, context, validate
        self._folder = Path(str(config.hydra.sweep.dir)).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        storage = settings.storage or str(self._folder / "autohpo.db")
        self._store = open_store(storage if "://" in storage else Path(storage).absolute())
        self.records = Records(self._store.files.absolute() / "jobs", settings.mode)
        self._n_failed = 0  # by this process: an error that was fixed since then must not end the sweep again

    def sweep(self, launcher: Launcher, arguments: Sequence[str]) -> list[Sequence[JobReturn]]:
        """Run the jobs, and return what the launcher returned for each batch."""
        overrides = self._read(arguments)
        space = overrides.space(self._settings.conditions, self._settings.constraints)
        hpo = self._settings.build(space)
        OmegaConf.save(self._config, self._folder / "multirun.yaml")
        search = Search(hpo, self._store, name=self._settings.study_name)
        search.open({"hydra": {"overrides": list(overrides.fixed)}})
        try:
            if search.resumed_from:
                n = search.state.n_done + search.state.n_failed
                log.info("The sweep in %s goes on: %d of its jobs are over", search.resumed_from, n)
            else:
                self.records.clear()
            return list(self._batches(search, launcher, overrides))
        finally:
            search.close()

    def _read(self, arguments: Sequence[str]) -> Overrides:
        """Return the overrides of the configuration and of the command line.

        Raises:
            SpaceError: One cannot be searched.
        """
        parser = OverridesParser.create(config_loader=self._context.config_loader)
        given = [f"{key}={value}" for key, value in self._settings.params.items()]
        overrides = read(parser.parse_overrides([*given, *arguments]))
        fidelity = self._settings.fidelity
        for key in (fidelity.parameter, fidelity.checkpoint) if fidelity is not None else ():
            if key in overrides.swept or any(fixed.partition("=")[0].lstrip("+") == key for fixed in overrides.fixed):
                raise SpaceError(f"{key}: must not be overridden, as fidelity sets it")
        return overrides

    def _batches(self, search: Search, launcher: Launcher, overrides: Overrides) -> Iterator[Sequence[JobReturn]]:
        """Yield what the launcher returned for each batch, once it is in the store."""
        while batch := self._next(search):
            jobs = {one.number: self._overrides(search, overrides, one) for one in batch}
            jobs = self._left(search, jobs)
            if jobs:
                self._validate(list(jobs.values()))
            suspects = [n for n in sorted(jobs) if search.state.attempts[n].n_of(TrialState.LOST) >= MAX_LOST]
            others = _rows([n for n in sorted(jobs) if n not in suspects])
            for numbers in [*others, *([n] for n in suspects)]:  # a job that ends the process takes no other with it
                yield self._launch(search, launcher, numbers, [jobs[number] for number in numbers])
            self._write(search)

    def _left(self, search: Search, jobs: Mapping[int, list[str]]) -> dict[int, list[str]]:
        """Return the jobs of a batch that are to run.

        Those that were over when the sweep was killed end so, and those that may be what killed it end as CRASHED.
        """
        left = {}
        for number, job in jobs.items():
            attempts, outcome = search.state.attempts[number], self.records.take(number, job)
            was_cut = attempts.is_running and attempts.n > 0
            if outcome is not None:
                log.info("Job #%d was over already", number)
                self._end(search, number, search.start(number, 0), outcome)
            elif was_cut and attempts.n_of(TrialState.LOST) >= MAX_LOST:
                error = f"it was running each of the {MAX_LOST + 1} times that the sweep was cut off"
                log.warning("Job #%d counts as CRASHED: %s", number, error)
                self._end(search, number, attempts.n, Outcome(TrialState.CRASHED, error=error))
            else:
                if was_cut:
                    search.interrupt(number, attempts.n, TrialState.LOST, "the sweep was cut off")
                left[number] = job
        search.save()
        return left

    def _next(self, search: Search) -> list[Suggestion]:
        """Return the next suggestions: first those that a killed sweep left without a result."""
        left = [running.suggestion for running in search.state.running.values()]
        batch: list[Suggestion] = left[: self._settings.n_jobs]
        try:
            while len(batch) < self._settings.n_jobs:
                batch.append(search.ask(len(batch)))
        except OptimizationComplete as end:
            if not batch:
                log.info("The sweep is over: %s", str(end).replace("max_evals", "n_trials"))
        except NotReady:
            if not batch:
                raise
        return batch

    def _overrides(self, search: Search, overrides: Overrides, suggestion: Suggestion) -> list[str]:
        found, fidelity = overrides.of(suggestion), self._settings.fidelity
        if fidelity is not None:
            found.append(f"{fidelity.parameter}={fidelity.text(suggestion.fidelity)}")
            if fidelity.checkpoint:
                root = search.state.chain(suggestion.number).root
                folder = checkpoint_dir(self._store.files.absolute(), root)
                folder.mkdir(parents=True, exist_ok=True)
                quoted = QuotedString(str(folder), Quote.single).with_quotes()
                found.append(f"{fidelity.checkpoint}={quoted}")
        return found

    def _launch(
        self, search: Search, launcher: Launcher, numbers: Sequence[int], jobs: Sequence[Sequence[str]]
    ) -> Sequence[JobReturn]:
        attempts = [search.start(number, slot) for slot, number in enumerate(numbers)]
        search.save()
        try:
            returned = launcher.launch(jobs, initial_job_idx=numbers[0])
        except KeyboardInterrupt:  # not the fault of a job
            for number, attempt in zip(numbers, attempts, strict=True):
                search.interrupt(number, attempt, TrialState.CANCELLED, "KeyboardInterrupt")
            search.save()
            raise
        errors = []
        for number, attempt, job, one in zip(numbers, attempts, jobs, returned, strict=True):
            outcome, error = self._outcome(search, number, job, one)
            self._end(search, number, attempt, outcome)
            if error is not None:
                errors.append(error)
        self._n_failed += len(errors)
        if errors and self._n_failed > self._settings.max_failure_rate * self._settings.n_trials:
            self._write(search)
            rule = f"more than max_failure_rate={self._settings.max_failure_rate}"
            log.error("%d of %d jobs failed, %s", self._n_failed, self._settings.n_trials, rule)
            raise errors[0]
        return returned

    def _outcome(
        self, search: Search, number: int, job: Sequence[str], returned: JobReturn
    ) -> tuple[Outcome, Exception | None]:
        """Return how a job ended, and its error, if it has one."""
        try:
            value = returned.return_value
        except Exception as error:  # the task raised
            return Outcome(TrialState.FAILED, error=f"{type(error).__name__}: {error}"), error
        known = self.records.take(number, job)
        try:
            return known or search.hpo.objectives.measure(value), None
        except InvalidPerfError as error:
            said = str(error).replace("mode={'name': 'max'}", "direction={name: maximize}")
            return Outcome(TrialState.INVALID, error=said), InvalidPerfError(said)

    def _end(self, search: Search, number: int, attempt: int, outcome: Outcome) -> None:
        trial = search.note_end(number, attempt, outcome)
        search.save()
        if trial is not None:
            search.told(trial)
        self.records.drop(number)

    def _write(self, search: Search) -> None:
        """Write the best of what is known, as other sweepers do."""
        state = search.state
        counts = {"n_trials": state.n_done + state.n_failed, "n_failed": state.n_failed}
        if not state.front.trials:
            return
        if search.hpo.objectives.n == 1:
            best = state.front.trials[0]
            found: dict[str, Any] = {"best_params": dict(best.hp), "best_value": best.perf}
            found |= {"best_trial": best.number, **_fidelity(best)}
        else:
            front = state.front.trials
            found = {"solutions": [{"params": dict(t.hp), "values": list(t.perfs), "trial": t.number} for t in front]}
        OmegaConf.save(
            OmegaConf.create({"name": "autohpo", **found, **counts}), self._folder / "optimization_results.yaml"
        )


def _fidelity(trial: Trial) -> dict[str, float]:
    return {} if trial.fidelity is None else {"best_fidelity": trial.fidelity}


def _rows(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield numbers in rows without gaps: a launcher counts on from the first."""
    row: list[int] = []
    for number in numbers:
        if row and number != row[-1] + 1:
            yield row
            row = []
        row.append(number)
    if row:
        yield row
