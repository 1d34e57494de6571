"""HyperbandScheduler: asynchronous successive halving in all its variants, with any searcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import OptionError, shown
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.optimizer.schedulers.arguments import SearchArguments, full_resource, taken
from autohpo.integrations.syne_tune.optimizer.schedulers.fifo import built
from autohpo.integrations.syne_tune.searchers import options_for, sampler_for, searcher_of

__all__ = ["HyperbandScheduler", "rung_levels_of"]

TYPES = ("stopping", "promotion", "cost_promotion", "pasha", "rush_stopping", "rush_promotion", "dyhpo")
"""How trials go on or end; see the table of docs/coming-from-syne-tune.md."""

_PROBABILITY_SH = 0.25  # Syne Tune's default

BY_SEARCHER = {"bayesopt": "mobster", "hypertune": "hypertune", "dyhpo": "dyhpo"}
"""The algorithm that a searcher has of its own."""


@dataclass(frozen=True, kw_only=True)
class HyperbandArguments(SearchArguments):
    """The arguments of :class:`HyperbandScheduler`.

    Attributes:
        resource_attr: The name of the resource among the reported values, counted from 1.
        grace_period: The lowest rung.
        reduction_factor: The factor between two rungs; None is 3.
        rung_increment: The distance between two rungs, if `reduction_factor` is not given.
        rung_levels: The rungs as a list.
        brackets: How many of the lowest rungs new trials may start at.
        type: How trials go on or end.
        searcher_data: Which reports a model learns from: "rungs", "all" or "rungs_and_last".
        cost_attr: The name of the cost among the reported values.
        register_pending_myopic: Not used: models see running trials.
        do_snapshots: Not used.
        rung_system_per_bracket: Whether trials only compete with those of the same bracket; must be False.
        rung_system_kwargs: `num_threshold_candidates` of rush, and `probability_sh` of dyhpo.
        early_checkpoint_removal_kwargs: Not used: checkpoints that nobody needs are removed where the backend says so.
    """

    resource_attr: str = "epoch"
    grace_period: int = 1
    reduction_factor: float | None = None
    rung_increment: int | None = None
    rung_levels: Sequence[int] | None = None
    brackets: int = 1
    type: str = "stopping"
    searcher_data: str | None = None
    cost_attr: str | None = None
    register_pending_myopic: bool = False
    do_snapshots: bool = False
    rung_system_per_bracket: bool = False
    rung_system_kwargs: Mapping[str, Any] | None = None
    early_checkpoint_removal_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.type not in TYPES:
            raise OptionError(f"type: must be one of {', '.join(TYPES)}, got {shown(self.type)}")
        if self.rung_system_per_bracket and self.brackets > 1:
            raise OptionError(
                "rung_system_per_bracket: must be False here, where all brackets share their rungs, got True"
            )
        if self.searcher_data not in (None, "rungs", "all", "rungs_and_last"):
            rule = "'rungs', 'all' or 'rungs_and_last'"
            raise OptionError(f"searcher_data: must be {rule}, got {shown(self.searcher_data)}")
        if self.type == "cost_promotion" and self.cost_attr is None:
            raise OptionError("cost_attr: must be given for type='cost_promotion', the name of the reported cost")


class HyperbandScheduler(TrialScheduler):
    """A scheduler that trains many configurations a little, and the best of them on.

    `type` says how: "stopping" lets a trial run until it is worse than others at a rung; "promotion" pauses each trial
    at each rung, and goes on with the best; "pasha", "cost_promotion" and "rush_..." are variants; "dyhpo" chooses by a
    model among all paused trials and new ones. Trials that pause should save their state in the folder that they get
    as ``--st_checkpoint_dir``, before each report.

    Args:
        config_space: A dict from name to domain or constant.
        kwargs: The arguments of :class:`HyperbandArguments`, as Syne Tune has them.

    Raises:
        OptionError: An argument is unknown or breaks a rule.
        SpaceError: The configuration space makes no search space.

    Example:
        >>> from autohpo.integrations.syne_tune.config_space import uniform
        >>> space = {"x": uniform(0, 1), "max_epochs": 9}
        >>> scheduler = HyperbandScheduler(
        ...     space, metric="loss", type="promotion", max_resource_attr="max_epochs", random_seed=0
        ... )
        >>> scheduler.rung_levels, scheduler.suggest(trial_id=0).config
        ([1, 3], {'x': 0.5, 'max_epochs': 1})
    """

    def __init__(self, config_space: Mapping[str, Any], **kwargs: Any) -> None:
        args = taken(HyperbandArguments, type(self).__name__, kwargs)
        self.max_t = full = _full(config_space, args)
        self.rung_levels = rung_levels_of(args, full)
        self.scheduler_type = args.type
        name, options = _algorithm_of(args, self.rung_levels, full)
        hpo, constants = built(name, config_space, args, options)
        super().__init__(
            config_space,
            hpo,
            metric=args.metric,
            constants=constants,
            resource_attr=args.resource_attr,
            max_resource_attr=args.max_resource_attr,
            cost_attr=args.cost_attr,
        )

    @property
    def max_resource_level(self) -> float:
        """The full resource."""
        return self.max_t


def rung_levels_of(args: HyperbandArguments, full: float) -> list[float]:
    """Return the rungs below the full resource: as given, or in even steps, or each a factor above the last.

    Args:
        args: The arguments of the scheduler.
        full: The full resource.

    Raises:
        OptionError: They do not rise, or none is below the full resource.

    Example:
        >>> rung_levels_of(HyperbandArguments(metric="loss", grace_period=2, reduction_factor=2.5), 40)
        [2, 5, 12, 31]
    """
    if args.rung_levels is not None:
        levels = list(args.rung_levels)
        if not levels or any(a >= b for a, b in zip([0, *levels], levels, strict=False)) or levels[-1] > full:
            rule = f"rising, above 0 and at most {full}, the full resource"
            raise OptionError(f"rung_levels: must be {rule}, got {shown(levels)}")
        return [level for level in levels if level < full]
    least, step, factor = args.grace_period, args.rung_increment, args.reduction_factor
    if not 0 < least < full:
        raise OptionError(f"grace_period: must be above 0 and below {full}, the full resource, got {least}")
    if step is not None and factor is None:
        if not step > 0:
            raise OptionError(f"rung_increment: must be above 0, got {step}")
        return [least + k * step for k in range(int((full - least) / step) + 1) if least + k * step < full]
    factor = 3.0 if factor is None else factor
    if not factor >= 2:
        raise OptionError(f"reduction_factor: must be at least 2, got {factor}")
    rungs: list[float] = []
    while round(least * factor ** len(rungs)) < full:
        rungs.append(round(least * factor ** len(rungs)))
    return rungs


def _full(config_space: Mapping[str, Any], args: HyperbandArguments) -> float:
    found = full_resource(config_space, args.max_t, args.max_resource_attr)
    if found is None:
        rule = "must be given, or max_resource_attr, the constant of config_space that has it"
        raise OptionError(f"max_t: {rule}")
    return found


def _algorithm_of(args: HyperbandArguments, levels: Sequence[float], full: float) -> tuple[str, dict[str, Any]]:
    """The registered name of the algorithm that a scheduler is, and its options."""
    given = args.searcher or "random"
    searcher = searcher_of(given)
    name = args.type if args.type in ("pasha", "dyhpo") else BY_SEARCHER.get(given, "asha")
    cls = get_hpo(name)
    options = {**_rungs(args, levels, full, option_names(cls)), **_rules(args, len(levels) + 1, name)}
    if args.searcher_data is not None and "searcher_data" in option_names(cls):
        options["searcher_data"] = args.searcher_data
    if BY_SEARCHER.get(given) == name:
        return name, options | options_for(searcher, cls, args.search_options)
    return name, options | {"sampler": sampler_for(searcher, args.search_options)}


def _rungs(args: HyperbandArguments, levels: Sequence[float], full: float, names: Sequence[str]) -> dict[str, Any]:
    """The options that say at which fidelities trials are compared."""
    if "rung_levels" in names:
        return {"max_fidelity": full, "rung_levels": [*levels, full]}
    if args.rung_levels is not None:
        raise OptionError(f"rung_levels: must be None for type={args.type!r}, which takes rung_increment")
    found = {"max_fidelity": full, "min_fidelity": float(levels[0])}
    if args.reduction_factor is not None or args.rung_increment is None:
        return {**found, "rung_factor": 3.0 if args.reduction_factor is None else float(args.reduction_factor)}
    return {**found, "rung_increment": float(args.rung_increment)}


def _rules(args: HyperbandArguments, n_rungs: int, name: str) -> dict[str, Any]:
    """The options that say who goes on."""
    extra = dict(args.rung_system_kwargs or {})
    if name == "dyhpo":
        return {"probability_sh": extra.get("probability_sh", _PROBABILITY_SH)}
    if name == "pasha":
        return {}
    found: dict[str, Any] = {
        "type": "stopping" if args.type.endswith("stopping") else "promotion",
        "brackets": min(args.brackets, n_rungs),
    }
    if args.type == "cost_promotion":
        found["cost_promotion"] = True
    if args.type.startswith("rush"):
        n_points = len(args.points_to_evaluate or ())
        found["rush"] = min(int(extra.get("num_threshold_candidates", n_points)), n_points)
    return found
