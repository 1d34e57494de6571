"""LocalBackend: a script on this machine, in a process of its own for each trial."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, PathError, shown
from autohpo.execution.devices import VISIBLE, gpus_of_slots
from autohpo.integrations.syne_tune.evaluation import Reading, ScriptObjective

if TYPE_CHECKING:
    from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler

__all__ = ["LocalBackend"]

NVIDIA = Path("/proc/driver/nvidia/gpus")


class LocalBackend:
    """Runs a script for each trial: ``python script.py --name value ... --st_checkpoint_dir folder``.

    The script reports through :class:`autohpo.integrations.syne_tune.Reporter`. It is ended at the report at which the
    search pauses or stops its trial. When the trial goes on, the script is started again with the same folder, which
    exists if the script has saved something there.

    Args:
        entry_point: The path of the script.
        delete_checkpoints: Whether folders of checkpoints that nobody needs any more are removed during the search.
        pass_args_as_json: Whether the script gets its configuration in a file: ``--st_config_json_filename``.
        rotate_gpus: Whether each worker sees GPUs of its own.
        num_gpus_per_trial: How many GPUs a worker sees.
        gpus_to_use: The GPUs; None is all of the machine.

    Raises:
        PathError: There is no such script.
        OptionError: There are fewer GPUs than one trial wants.
    """

    def __init__(  # noqa: PLR0917 - the positions are Syne Tune's
        self,
        entry_point: str | os.PathLike[str],
        delete_checkpoints: bool = False,
        pass_args_as_json: bool = False,
        rotate_gpus: bool = True,
        num_gpus_per_trial: int = 1,
        gpus_to_use: Sequence[int] | None = None,
    ) -> None:
        self.entry_point = Path(entry_point).resolve()
        if not self.entry_point.is_file():
            raise PathError(f"entry_point: must be the path of a script, got {shown(str(entry_point))}")
        self.delete_checkpoints, self.pass_args_as_json = delete_checkpoints, pass_args_as_json
        self._gpus = (rotate_gpus, num_gpus_per_trial, gpus_to_use)
        self._folder: Path | None = None

    def entrypoint_path(self) -> Path:
        """Return the path of the script."""
        return self.entry_point

    def set_path(self, results_root: str | None = None, tuner_name: str | None = None) -> None:
        """Set the folder for what scripts print.

        Args:
            results_root: The folder.
            tuner_name: Not used.
        """
        self._folder = None if results_root is None else Path(results_root)

    def objective(self, scheduler: TrialScheduler) -> Callable[..., Any]:
        """Return the objective of trials that a scheduler suggests.

        Raises:
            OptionError: :meth:`set_path` was not called.
        """
        reading = Reading(scheduler.metric, scheduler.resource_attr, scheduler.cost_attr)
        entry_point, folder = str(self.entry_point), self._trials()
        return ScriptObjective(entry_point, scheduler.config_of, reading, folder, self.pass_args_as_json)

    def devices(self, n_workers: int) -> tuple[str, ...]:
        """Return what ``CUDA_VISIBLE_DEVICES`` says in each worker; empty where it is left as it is.

        Args:
            n_workers: How many workers there are.
        """
        rotate, n_each, given = self._gpus
        shown = os.environ.get(VISIBLE)
        here = shown.split(",") if shown else [path.name for path in NVIDIA.iterdir()] if NVIDIA.is_dir() else []
        found = list(range(len(here))) if given is None else list(given)
        if not rotate or len(found) < 2:
            return ()
        if not 1 <= n_each <= len(found):
            raise OptionError(f"num_gpus_per_trial: must be from 1 to {len(found)}, got {n_each}")
        names = gpus_of_slots(found, len(found))  # numbers count what this process may use
        n_sets = len(found) // n_each
        sets = [",".join(names[k * n_each : (k + 1) * n_each]) for k in range(n_sets)]
        return tuple(sets[worker % n_sets] for worker in range(n_workers))

    def stdout(self, trial_id: int) -> list[str]:
        """Return the lines that a trial printed.

        Args:
            trial_id: The number of the trial.
        """
        return self._printed(trial_id, "out")

    def stderr(self, trial_id: int) -> list[str]:
        """Return the lines that a trial printed as errors.

        Args:
            trial_id: The number of the trial.
        """
        return self._printed(trial_id, "err")

    def _trials(self) -> Path:
        if self._folder is None:
            raise OptionError("set_path: must be called before a trial runs; the tuner does it")
        return self._folder / "trials"

    def _printed(self, trial_id: int, ending: str) -> list[str]:
        """The lines of a trial, which are kept under the name of the folder of its chain."""
        found = self._trials().glob(f"*.{ending}")
        paths = sorted(found, key=lambda path: int(path.stem.rpartition("-")[2]))
        return paths[trial_id].read_text(encoding="utf-8", errors="replace").splitlines()
