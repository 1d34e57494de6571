"""Hugging Face's ``Trainer``: a callback, and its ``hyperparameter_search`` under our loop.

Needs the extra ``autohpo[transformers]``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from autohpo.errors import OptionError, SpaceError, short
from autohpo.integrations._callbacks import LibraryCallback, chosen, finite, load, trial_of
from autohpo.spaces import ChoiceHP, LogRangeHP, RangeHP, SearchSpace
from autohpo.trial import whole
from autohpo.trial_handle import TrialHandle

__all__ = ["ReportCallback", "hyperparameter_search"]

STATE = "trainer_state.json"  # the last file of a checkpoint that the Trainer writes
NO_RESULTS = ("epoch", "_runtime", "_per_second", "_compilation_time")  # how metrics end that say nothing of the model
MODES = {"minimize": "min", "maximize": "max"}

Measure = Callable[[dict[str, float]], float]


class ReportCallback(LibraryCallback):
    """Callback of a ``Trainer`` that reports each evaluation and stops where the search says so.

    One epoch is one unit of fidelity, and an evaluation in between a part of one. Where the trainer saves checkpoints
    into the trial's folder, a promoted trial that is given :attr:`last_checkpoint` trains only what is new.

    Args:
        trial: What the objective was given as ``trial``.
        monitor: The metric of ``evaluate`` that is the result, such as ``"eval_loss"``, or a function of all of
            them, as ``compute_objective``. The search's ``mode`` says which way it is better.

    Raises:
        MissingExtraError: Transformers is not installed.
        OptionError: `trial` is no trial; while it trains: `monitor` is none of the metrics.

    Example:
        .. code-block:: python

            def train(hps, trial):
                report = ReportCallback(trial, "eval_accuracy")
                args = TrainingArguments(
                    str(trial.checkpoint_dir), num_train_epochs=9, learning_rate=hps["lr"],
                    eval_strategy="epoch", save_strategy="epoch", save_total_limit=1,
                )
                trainer = Trainer(model_init=model_init, args=args, callbacks=[report], ...)
                trainer.train(resume_from_checkpoint=report.last_checkpoint)
    """

    _extra: ClassVar[str] = "transformers"
    _bases: ClassVar[tuple[tuple[str, str], ...]] = (("transformers", "TrainerCallback"),)

    def __init__(self, trial: TrialHandle, monitor: str | Measure = "eval_loss") -> None:
        if not isinstance(monitor, str) and not callable(monitor):
            raise OptionError(f"monitor: must be a metric's name or a function of the metrics, got {short(monitor)}")
        self._trial, self._monitor, self._reported = trial_of(trial), monitor, 0.0

    @property
    def last_checkpoint(self) -> str | None:
        """The last whole checkpoint that an earlier rung or attempt left; None where there is none."""
        found = []
        for path in self._trial.checkpoint_dir.glob("checkpoint-*"):
            with suppress(OSError, ValueError, KeyError, TypeError):  # one that was cut off while it was written
                state = json.loads((path / STATE).read_text())
                found.append((int(state["global_step"]), float(state["epoch"]), path))
        if not found:
            return None
        _, done, path = max(found)
        self._trial.resume_at(_epochs(done))
        return str(path)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **more: Any) -> None:
        """Report, and ask the trainer to stop where the search says so."""
        if not state.is_world_process_zero or not state.epoch or state.epoch == self._reported:
            return
        self._reported = state.epoch
        values = {name: value for name, value in metrics.items() if not name.endswith(NO_RESULTS)}
        if isinstance(self._monitor, str):
            perf = values.pop(chosen(self._monitor, values, "monitor"))
        else:
            perf = self._monitor(dict(metrics))
        if not self._trial.report(perf, _epochs(state.epoch), metrics=finite(values)):
            control.should_training_stop = True


def _epochs(done: float) -> float:
    return whole(round(done, 6))


def hyperparameter_search(  # noqa: PLR0917 - in the order that Transformers has them
    trainer: Any,
    hp_space: Any,
    compute_objective: Measure | None = None,
    n_trials: int = 20,
    direction: str = "minimize",
    algorithm: str = "auto",
    *,
    run: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Search for the best arguments of a ``Trainer``, as its own method of that name does.

    Each trial builds a trainer from the same parts, with its arguments in ``args``. Where ``args.eval_strategy`` is not
    ``"no"`` and the epochs are not searched, epochs are the fidelity: a multi-fidelity algorithm trains many
    configurations for a few of the ``args.num_train_epochs``, and with ``save_strategy="epoch"`` it continues those
    that it promotes. The schedule of the learning rate is that of a full training throughout.

    Args:
        trainer: A trainer with a ``model_init``, which may take the configuration as its argument.
        hp_space: What is searched: parameters of autohpo; or a function that returns them; or one in Transformers'
            form, which takes a trial and calls its ``suggest_float``, ``suggest_int`` and ``suggest_categorical``. It
            is called once, so its space cannot depend on what it is suggested.
        compute_objective: The result, of the metrics of an evaluation; by default Transformers' own: the loss, or the
            sum of the metrics where there are any.
        n_trials: How many trials there are; each rung of a training is one.
        direction: ``"minimize"`` or ``"maximize"``.
        algorithm: The name of the algorithm.
        run: Arguments of ``optimize``, such as ``store``, ``num_workers`` and ``gpus``.
        **options: Further options of the algorithm, such as ``seed``.

    Returns:
        A ``transformers.trainer_utils.BestRun``, with the Result as its ``run_summary``. Its ``run_id`` is the number
        of the best trial.

    Raises:
        MissingExtraError: Transformers is not installed.
        OptionError: The trainer has no ``model_init``, or `direction` is another one.
        SpaceError: Nothing is searched, or what is searched is no argument of the trainer.
    """
    from autohpo.algorithms.registry import build_hpo_from_name

    utils = load("transformers", "transformers.trainer_utils")
    if direction not in MODES:
        raise OptionError(f"direction: must be 'minimize' or 'maximize', got {short(direction)}")
    if getattr(trainer, "model_init", None) is None:
        raise OptionError(f"trainer: must have a model_init, which makes a model for each trial, got {short(trainer)}")
    space = _space(hp_space)
    known = {one.name for one in dataclasses.fields(trainer.args)}
    if unknown := [one.name for one in space if one.name not in known and not _takes_hp(trainer.model_init)]:
        raise SpaceError(f"hp_space: must name arguments of TrainingArguments, got {', '.join(unknown)}")
    f = _Trainings.of(trainer, compute_objective or utils.default_compute_objective)
    f.takes_fidelity &= "num_train_epochs" not in {one.name for one in space}
    if f.takes_fidelity and _has_option(algorithm, "max_fidelity"):
        options.setdefault("max_fidelity", whole(float(trainer.args.num_train_epochs)))
    hpo = build_hpo_from_name(algorithm, space, f, mode=MODES[direction], max_evals=n_trials, **options)
    best_hp, best_perf = hpo.optimize(**(run or {}))
    return utils.BestRun(str(hpo.result.best.number), best_perf, dict(best_hp), hpo.result)


def _has_option(algorithm: str, option: str) -> bool:
    from autohpo.algorithms.options import option_names
    from autohpo.algorithms.registry import get_hpo

    return option in option_names(get_hpo(algorithm))


def _takes_hp(model_init: Callable[..., Any]) -> bool:
    return len(inspect.signature(model_init).parameters) > 0


@dataclass
class _Trainings:
    """An objective: trainers built from the parts of one."""

    kind: type
    args: Any
    parts: dict[str, Any]
    callbacks: Sequence[Any]
    measure: Measure
    takes_fidelity: bool
    is_continued: bool = field(default=False)

    @classmethod
    def of(cls, trainer: Any, measure: Measure) -> _Trainings:
        """Take a trainer apart: what its class is made with, and it keeps under the same name."""
        names = set(inspect.signature(type(trainer).__init__).parameters)
        names -= {"self", "model", "args", "callbacks", "optimizers"}
        parts = {name: getattr(trainer, name) for name in sorted(names) if hasattr(trainer, name)}
        evaluates, saves = trainer.args.eval_strategy.value, trainer.args.save_strategy.value
        callbacks = list(trainer.callback_handler.callbacks)
        return cls(type(trainer), trainer.args, parts, callbacks, measure, evaluates != "no", saves == "epoch")

    def __call__(self, hps: dict[str, Any], trial: TrialHandle) -> None:
        """Train one configuration; each evaluation is reported."""
        known = {one.name for one in dataclasses.fields(self.args)}
        values = {name: value for name, value in hps.items() if name in known}
        args = dataclasses.replace(self.args, **values, output_dir=str(trial.checkpoint_dir))
        init, report = self.parts["model_init"], ReportCallback(trial, self.measure)
        parts = {**self.parts, "model_init": (lambda: init(hps)) if _takes_hp(init) else init}
        trainer = self.kind(args=args, callbacks=[report], **parts)
        there = {type(one) for one in trainer.callback_handler.callbacks}
        for one in self.callbacks:
            if type(one) not in there:
                trainer.add_callback(one)
        trainer.train(resume_from_checkpoint=report.last_checkpoint if self.is_continued else None)
        if not trial.reports:
            trainer.evaluate()


def _space(hp_space: Any) -> SearchSpace:
    """Read what is searched."""
    if callable(hp_space):
        recorder = _Recorder()
        takes_trial = len(inspect.signature(hp_space).parameters) > 0
        given = hp_space(recorder) if takes_trial else hp_space()
        hp_space = list(recorder.found.values()) if takes_trial and isinstance(given, Mapping) else given
    if not hp_space:
        raise SpaceError(f"hp_space: must have at least one parameter, got {short(hp_space)}")
    return hp_space if isinstance(hp_space, SearchSpace) else SearchSpace(hp_space)


class _Recorder:
    """A trial in Transformers' form that notes what it is asked to suggest."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Note a range of numbers."""
        self._note(name, float(low), float(high), step, is_log=log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Note a range of integers."""
        self._note(name, int(low), int(high), None if step == 1 else step, is_log=log)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Note a choice."""
        self.found[name] = ChoiceHP(name, list(choices))
        return choices[0]

    def _note(self, name: str, low: float, high: float, step: float | None, *, is_log: bool) -> None:
        kind = LogRangeHP if is_log else RangeHP
        self.found[name] = kind(name, low, high, step=step)
