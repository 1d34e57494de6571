"""GPJudge: what the multi-fidelity process expects of paused trials, and of the best new configuration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.evidence import Evidence
from autohpo.algorithms.parts.gp_engine import Aim
from autohpo.algorithms.parts.gp_options import GPOptions
from autohpo.algorithms.parts.gp_suggester import GPSuggester
from autohpo.errors import OptimizationComplete
from autohpo.history import History
from autohpo.schedulers.judge import Judgement, NewCandidate


def judge(
    suggester: GPSuggester,
    options: GPOptions,
    seen: History,
    rng: np.random.Generator,
    *,
    trials: Sequence[int],
    fidelities: Sequence[float],
    start: float | None,
    chooses: bool = True,
) -> Judgement | None:
    """Return what each paused trial would reach, and the best new configuration; see :class:`Judge`.

    All is in units of the targets. What a trial has to beat is the best value at that fidelity, or the best of all
    where nobody has been there.

    Args:
        suggester: Suggests configurations after that history.
        options: The options of the process.
        seen: The history.
        rng: The generator of all that is random here.
        trials: The numbers of paused trials.
        fidelities: The fidelity that each of them would be trained to.
        start: The fidelity where a new configuration would start; None where none is asked for.
        chooses: Whether the new configuration is the one that the model expects most of. Otherwise a sampler chooses
            it, and what the best would reach stands for all.
    """
    evidence, engine = suggester.evidence(), suggester.engine
    if not engine.is_ready(evidence) or (chooses and start is not None and _waits_for_given(suggester)):
        return None
    belief = engine.belief(evidence, rng)
    wanted = np.array(fidelities, dtype=float)
    rows = engine.rows_of([seen[number].hp for number in trials], wanted, [seen.root(number) for number in trials])
    means, deviations = belief.predict(*rows) if len(trials) else (np.zeros((0, 1)), np.zeros(0))
    values = engine.fits.targets(evidence.rows.score).values
    best = np.array([best_at(evidence, values, fidelity) for fidelity in wanted])
    new = None
    if start is not None:
        aim = engine.aim(evidence, rng, fidelity=start, belief=belief)
        fraction = options.random_fraction if chooses else 1.0
        new = _best_new(suggester, aim, rng, fraction, best_at(evidence, values, start))
    return Judgement(means.mean(axis=1), deviations, best, new)


def _waits_for_given(suggester: GPSuggester) -> bool:
    """Whether a configuration that the user wants first was not started yet."""
    try:
        suggester.update()
    except OptimizationComplete:
        return False
    return suggester.next_given() is not None


def _best_new(
    suggester: GPSuggester, aim: Aim, rng: np.random.Generator, random_fraction: float, best: float
) -> NewCandidate | None:
    """The new configuration with the largest improvement; a share of them is left to the sampler."""
    is_random = rng.random() < random_fraction
    try:
        suggester.update()
        hp = suggester.best_new(aim, rng)
    except OptimizationComplete:
        return None
    if hp is None:
        return None
    means, deviations = aim.improvement.predict(*suggester.encoder.of_hps([hp]))
    return NewCandidate(float(means.mean()), float(deviations[0]), best, None if is_random else hp)


def best_at(evidence: Evidence, values: FloatArray, fidelity: float) -> float:
    """Return the best value at a fidelity, or the best of all where there is none.

    Args:
        evidence: At least one value.
        values: ``(n,)`` the targets.
        fidelity: The fidelity.
    """
    here = values[evidence.rows.fidelity == fidelity]
    return float((here if len(here) else values).max())
