"""The sweeper that Hydra finds; autohpo itself is only loaded once a sweep uses it."""

from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class AutohpoSweeper(Sweeper):
    """Runs the jobs that an algorithm of autohpo suggests, and goes on where a killed sweep stopped.

    Args:
        options: The options of the sweeper, see :class:`hydra_plugins.autohpo_sweeper.config.AutohpoSweeperConf`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._run: Any = None
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher; called by Hydra.

        Raises:
            OptionError: An option breaks a rule.
        """
        from hydra.core.plugins import Plugins
        from hydra_plugins.autohpo_sweeper._run import SweepRun
        from hydra_plugins.autohpo_sweeper._settings import Settings

        self.hydra_context, self.config = hydra_context, config
        self._run = SweepRun(Settings.of(self._options), config, hydra_context, self.validate_batch_is_legal)
        task = self._run.records.kept(task_function)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep, and return the jobs' results by batch; called by Hydra.

        Args:
            arguments: The overrides of the command line, which overrule those of the configuration.

        Raises:
            AutoHPOError: Something that was given breaks a rule.
            StoreMismatchError: The store holds another sweep.
        """
        return self._run.sweep(self.launcher, arguments)
