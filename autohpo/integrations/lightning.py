"""Lightning: a callback that reports, stops, and keeps a checkpoint; needs the extra ``autohpo[lightning]``.

It goes with ``lightning`` and with ``pytorch_lightning``, whichever the program imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from autohpo.errors import OptionError, short
from autohpo.integrations._callbacks import LibraryCallback, Saved, chosen, finite, trial_of
from autohpo.integrations._relay import Relay
from autohpo.trial_handle import TrialHandle

__all__ = ["ReportCallback"]


class ReportCallback(LibraryCallback):
    """Callback of a Lightning ``Trainer`` that reports each validated epoch and stops where the search says so.

    One epoch is one unit of fidelity. Where an epoch is validated several times, its last validation counts; epochs
    that are not validated, and Lightning's sanity check, are not reported. Before each report a checkpoint of the
    trainer is saved in the trial's folder, and a promoted trial that is given :attr:`ckpt_path` trains only what
    is new.

    Args:
        trial: What the objective was given as ``trial``.
        monitor: The logged metric that is the result. The search's ``mode`` says which way it is better.
        metrics: Further logged metrics, for the log of the search.
        is_saved: Whether checkpoints are kept.
        from_children: Whether the trainer starts processes, with ``strategy="ddp_spawn"``, ``"ddp_fork"`` or
            ``"ddp_notebook"``: the process of rank 0 then reports through the trial's own. Log what is monitored with
            ``sync_dist=True`` there. ``strategy="ddp"`` runs the whole program again, with the search in it: take
            one of the others.

    Raises:
        MissingExtraError: Neither ``lightning`` nor ``pytorch_lightning`` is installed.
        OptionError: `trial` is no trial, or a name is no string; while it trains: one of them was not logged.

    Example:
        .. code-block:: python

            def train(hps, trial):
                report = ReportCallback(trial, "val_acc")
                trainer = lightning.Trainer(max_epochs=27, callbacks=[report], enable_checkpointing=False)
                trainer.fit(Net(hps), loader, valid_loader, ckpt_path=report.ckpt_path)
    """

    _extra: ClassVar[str] = "lightning"
    _bases: ClassVar[tuple[tuple[str, str], ...]] = (
        ("lightning.pytorch.callbacks", "Callback"),
        ("pytorch_lightning.callbacks", "Callback"),
    )

    def __init__(
        self,
        trial: TrialHandle,
        monitor: str,
        *,
        metrics: Sequence[str] = (),
        is_saved: bool = True,
        from_children: bool = False,
    ) -> None:
        if not isinstance(monitor, str):
            raise OptionError(f"monitor: must be the name of a logged metric, got {short(monitor)}")
        if not isinstance(metrics, (list, tuple)) or not all(isinstance(name, str) for name in metrics):
            raise OptionError(f"metrics: must be a list of names of logged metrics, got {short(metrics)}")
        self._relay = Relay(trial_of(trial), from_children=from_children)
        self._monitor, self._metrics, self._is_saved = monitor, tuple(metrics), is_saved
        self._saved = Saved(trial.checkpoint_dir, "epoch-{}.ckpt")
        self._found = self._saved.latest()
        self._resume_at, self._fidelity = trial.resume_at, trial.fidelity
        self._is_enough = False  # whether the checkpoint is of the last epoch of this trial already
        self._seen: dict[str, float] = {}  # of the last validation, until its epoch ends
        self._last: tuple[dict[str, float], int] | None = None  # what was reported last, and the epochs it was after
        self._has_reported = False

    @property
    def ckpt_path(self) -> str | None:
        """The checkpoint that an earlier rung or attempt left; None where there is none."""
        if self._found is None:
            return None
        path, done = self._found
        self._resume_at(done)
        self._is_enough = self._fidelity is not None and done >= self._fidelity
        return str(path)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Train nothing where the checkpoint has all that this trial is to have."""
        if self._is_enough and self._last is not None:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Keep what was measured, unless it is the sanity check."""
        if not trainer.sanity_checking:
            known = trainer.callback_metrics
            names = [chosen(self._monitor, known, "monitor")]
            names += [chosen(name, known, "metrics") for name in self._metrics]
            self._seen = {name: float(known[name]) for name in names}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Save, report from rank 0, and tell every rank whether to stop."""
        if not self._seen:
            return
        self._last, self._seen = (self._seen, trainer.current_epoch + 1), {}
        if self._is_saved:
            trainer.save_checkpoint(str(self._saved.part), weights_only=False)  # on every rank: some save together
            if trainer.is_global_zero:
                self._saved.keep(trainer.current_epoch + 1)
        goes_on = self._report() if trainer.is_global_zero else True
        if not trainer.strategy.broadcast(goes_on):
            trainer.should_stop = True

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Report the epoch of the checkpoint where there was none left to train."""
        if self._last is not None and not self._has_reported and trainer.is_global_zero:
            self._report()

    def _report(self) -> bool:
        self._has_reported = True
        if self._last is None:
            return True
        values, done = self._last
        perf, *_ = values.values()
        return self._relay.report(perf, done, finite(dict(list(values.items())[1:])))

    def state_dict(self) -> dict[str, Any]:
        """Return what was reported last, for the checkpoint."""
        return {"last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what was reported last from the checkpoint."""
        self._last = state_dict["last"]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_resume_at": None}  # the handle stays with its process
