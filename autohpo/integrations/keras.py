"""Keras 3: a callback that reports, stops, and keeps a checkpoint; needs the extra ``autohpo[keras]``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from autohpo.errors import OptionError, short
from autohpo.integrations._callbacks import LibraryCallback, Saved, chosen, finite, trial_of
from autohpo.trial_handle import TrialHandle

__all__ = ["ReportCallback"]

WEIGHTS, NOTE = "model.weights.h5", "last.json"


class ReportCallback(LibraryCallback):
    """Callback of Keras's ``fit`` that reports each epoch and stops where the search says so.

    One epoch is one unit of fidelity. Before each report the weights of the model and of its optimizer are saved in the
    trial's folder, and a promoted trial that begins with :meth:`restore` trains only what is new.

    Args:
        trial: What the objective was given as ``trial``.
        monitor: The name of the result in Keras's logs, such as ``"val_accuracy"``. The search's ``mode`` says which
            way it is better. All other numbers of the logs go into the log of the search.
        is_saved: Whether checkpoints are kept.

    Raises:
        MissingExtraError: Keras is not installed.
        OptionError: `trial` is no trial; while it trains: `monitor` is not in Keras's logs.

    Example:
        .. code-block:: python

            def train(hps, trial):
                model, report = compiled(hps), ReportCallback(trial, "val_accuracy")
                model.fit(
                    x, y, validation_data=valid, epochs=27, initial_epoch=report.restore(model), callbacks=[report]
                )
    """

    _extra: ClassVar[str] = "keras"
    _bases: ClassVar[tuple[tuple[str, str], ...]] = (("keras.callbacks", "Callback"),)

    def __init__(self, trial: TrialHandle, monitor: str = "val_loss", *, is_saved: bool = True) -> None:
        super().__init__()
        if not isinstance(monitor, str):
            raise OptionError(f"monitor: must be the name of a number in Keras's logs, got {short(monitor)}")
        self._trial, self._monitor, self._is_saved = trial_of(trial), monitor, is_saved
        self._saved = Saved(trial.checkpoint_dir, "epoch-{}")
        self._last: tuple[float, dict[str, float], int] | None = None  # of the checkpoint
        self._has_reported = False

    def restore(self, model: Any) -> int:
        """Load what an earlier rung, or an attempt that was cut off, left; return the epoch to begin with.

        Args:
            model: The compiled model, with its layers built.

        Raises:
            OptionError: The model is not built, so that it has no weights yet.
        """
        found = self._saved.latest()
        if found is None:
            return 0
        if not model.built:
            raise OptionError("model: must be built to load its weights; give its first layer an Input")
        folder, done = found[0], int(found[1])
        if model.optimizer is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.load_weights(str(folder / WEIGHTS))
        perf, others = json.loads((folder / NOTE).read_text())
        self._last = perf, others, done
        self._trial.resume_at(done)
        return done

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Save, report, and stop where the search says so."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self._monitor.startswith("val_") and not any(name.startswith("val_") for name in values):
            return  # this epoch is not validated
        name = chosen(self._monitor, values, "monitor")
        perf = values.pop(name)
        if self._is_saved:
            self._save(perf, values, epoch + 1)
        self._has_reported = True
        if not self._trial.report(perf, epoch + 1, metrics=finite(values)):
            self._trained().stop_training = True

    def _save(self, perf: float, values: dict[str, float], done: int) -> None:
        part: Path = self._saved.part
        part.mkdir(exist_ok=True)
        self._trained().save_weights(str(part / WEIGHTS), overwrite=True)
        (part / NOTE).write_text(json.dumps([perf, values]))
        self._saved.keep(done)

    def _trained(self) -> Any:
        return self.model  # type: ignore[attr-defined] # Keras sets it

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch of the checkpoint where there was none left to train."""
        if self._has_reported:
            return
        if self._last is None:
            chosen(self._monitor, logs or {}, "monitor")  # raises: no epoch was validated
        else:
            perf, others, done = self._last
            self._trial.report(perf, done, metrics=finite(others))
