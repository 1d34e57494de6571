"""Tables of a result: data frames, and the arrays that fANOVA takes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.integrations.hpbandster.core.runs import ConfigId, Datum, Run

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["fanova_data", "frames"]


def frames(
    runs: Sequence[Run],
    data: Mapping[ConfigId, Datum],
    budgets: Sequence[float],
    loss_fn: Callable[[Run], Any],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a data frame of the configurations of runs, and one of their losses.

    Args:
        runs: The runs; those that crashed are left out.
        data: The configurations.
        budgets: The budgets that are wanted; with several of them there is a column for it.
        loss_fn: The loss of a run.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas is not installed: pip install 'autohpo[pandas]'") from error
    done = [run for run in runs if run.loss is not None and run.budget in budgets]
    more = len(budgets) > 1
    configs = [{**data[run.config_id].config, **({"budget": run.budget} if more else {})} for run in done]
    return pd.DataFrame(configs), pd.DataFrame([{"loss": loss_fn(run)} for run in done])


def fanova_data(  # noqa: PLR0917 - the arguments of Result.get_fANOVA_data, and what it has
    config_space: Any,
    runs: Sequence[Run],
    data: Mapping[ConfigId, Datum],
    budgets: Sequence[float],
    loss_fn: Callable[[Run], Any],
    failed_loss: float | None,
) -> tuple[NDArray[Any], NDArray[Any], Any]:
    """Return ``(n, d)`` configurations, ``(n,)`` losses, and the space; see ``Result.get_fANOVA_data``.

    Args:
        config_space: The space of the run.
        runs: The runs.
        data: The configurations.
        budgets: The budgets that are wanted.
        loss_fn: The loss of a run that did not crash.
        failed_loss: The loss of a run that crashed.

    Raises:
        OptionError: `config_space` is no ConfigurationSpace.
        MissingExtraError: ConfigSpace is not installed.
    """
    try:
        import ConfigSpace
    except ImportError as error:
        raise MissingExtraError("ConfigSpace is not installed: pip install 'autohpo[configspace]'") from error
    if not isinstance(config_space, ConfigSpace.ConfigurationSpace):
        raise OptionError(f"config_space: must be a ConfigurationSpace, got {shown(config_space)}")
    space = copy.deepcopy(config_space)
    if len(budgets) > 1:
        space.add(ConfigSpace.UniformFloatHyperparameter("budget", min(budgets), max(budgets), log=True))
    wanted = [run for run in runs if run.budget in budgets and not (run.loss is None and failed_loss is None)]
    rows = []
    for run in wanted:
        config = {**data[run.config_id].config, "budget": run.budget}
        rows.append([_number(one, config.get(name), name in config) for name, one in space.items()])
    losses = [failed_loss if run.loss is None else loss_fn(run) for run in wanted]
    return np.array(rows, dtype=float).reshape(len(rows), len(space)), np.array(losses, dtype=float), space


def _number(parameter: Any, value: Any, is_active: bool) -> float:
    """The value of a parameter as a number: its place where values have no order."""
    if not is_active:
        return math.nan
    listed = getattr(parameter, "choices", None) or getattr(parameter, "sequence", None)
    if listed is not None:
        return float(list(listed).index(value))
    return float(value) if isinstance(value, (int, float)) else 0.0  # a constant that is no number
