"""The volume that a Pareto front covers."""

from __future__ import annotations

from collections.abc import Sequence

from autohpo.errors import MissingExtraError
from autohpo.trial import Trial


def hypervolume(front: Sequence[Trial], signs: Sequence[int], reference: Sequence[float]) -> float:
    """Return the volume that a front covers, up to a reference point; 0 without a trial that is better there.

    Args:
        front: Trials of which none beats another.
        signs: 1 for each objective where higher is better, -1 where lower is.
        reference: A value of each objective.

    Raises:
        MissingExtraError: moocore is not installed.
    """
    try:
        import moocore
    except ImportError as error:
        raise MissingExtraError("moocore is not installed: pip install 'autohpo[pareto]'") from error
    values = [list(trial.perfs) for trial in front]
    if not values:
        return 0.0
    return float(moocore.hypervolume(values, ref=list(reference), maximise=[sign > 0 for sign in signs]))
