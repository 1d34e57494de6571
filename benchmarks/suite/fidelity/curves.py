"""Learning curves: surrogates of networks and boosted trees, translation models, and Hartmann's functions."""

from __future__ import annotations

import functools
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from suite import yahpo
from suite.fidelity.task import Curve, FidelityTask, FloatArray
from suite.formulas import _HARTMANN_A, _HARTMANN_ALPHA, _HARTMANN_BEST, _HARTMANN_P, _vector
from suite.space import Space, choice, ordinal, real
from suite.task import DATA, reference

_FIDELITY: dict[str, tuple[str, float, float, int]] = {  # name, lowest, full, the output that is seconds
    "lcbench": ("epoch", 2, 52, 0),  # the surrogate's first epoch is an artefact
    "rbv2_xgboost": ("trainsize", 0.03, 1.0, 6),
}
_HIGH_Z = 100


@functools.cache
def _known() -> dict[str, dict[str, float]]:
    """Mean seconds of a full training, and what the tables of other benchmarks do not say, by task."""
    found: dict[str, dict[str, float]] = json.loads((DATA / "fidelity.json").read_text(encoding="utf-8"))
    return found


def known_of(name: str, what: str, otherwise: float = math.nan) -> float:
    """A number of ``data/fidelity.json``, which `multi_fidelity.py reference` writes."""
    return _known().get(name, {}).get(what, otherwise)


def surrogate(name: str, scenario: str, instance: str) -> FidelityTask:
    """Accuracy of a network by its epochs, or of boosted trees by the share of the rows: surrogates of YAHPO Gym."""
    how, network, codes = yahpo.SCENARIOS[scenario], yahpo._network(scenario), yahpo._read(scenario, "encoding")
    by, low, high, seconds = _FIDELITY[scenario]
    given = {**how.fixed, how.instance: instance}

    def outputs(column: int) -> Curve:
        def run(hp: Mapping[str, Any], fidelities: Sequence[float]) -> FloatArray:
            row = {**given, **hp}
            lists = np.array([[codes[key][row[key]] if key in row else 0 for key in how.lists]], dtype=np.int32)
            numbers = np.array([[row.get(key, 0.0) for key in how.numbers]], dtype=np.float32)
            n = len(fidelities)
            numbers = numbers.repeat(n, axis=0)
            numbers[:, how.numbers.index(by)] = fidelities
            return network(lists.repeat(n, axis=0), numbers)[:, column].astype(float)

        return run

    space, of_full = yahpo._space(scenario), reference()[name]
    values, times = outputs(yahpo.OUTPUTS[scenario]), outputs(seconds)
    mean = known_of(name, "mean_seconds")
    return FidelityTask(name, space, low, high, values, times, of_full["best"], of_full["median"], mean)


def translation(name: str, data_set: str) -> FidelityTask:
    """Fine-tuned translation models: the best BLEU up to a checkpoint; runs are of unequal length, and then stand."""
    sizes = {(24, 1024): ("0.56b", 0.56), (24, 2048): ("1.7b", 1.7), (48, 2048): ("2.9b", 2.9), (30, 2560): ("3b", 3.0)}
    curves: dict[tuple[Any, ...], tuple[FloatArray, float]] = {}
    for run in json.loads((DATA / "nmt_hpo/nmtlc.json").read_text(encoding="utf-8")):
        if run["task"] == "finetune" and run["dataset_name"] == data_set:
            hp = run["hyperparams"]
            size, billions = sizes[hp["num_layers"], hp["model_size"]]
            key = f"{run['basemodel']}-{size}", hp["r"], hp["batch_size"], hp["initial_lr"]
            curves[key] = np.maximum.accumulate(np.asarray(run["bleu_curve"], dtype=float)), billions
    names = ("llm", "lora_rank", "batch_size", "lr")
    axes = [sorted(set(axis)) for axis in zip(*curves, strict=True)]
    space = Space(tuple((ordinal if k else choice)(names[k], axis) for k, axis in enumerate(axes)))

    def at(hp: Mapping[str, Any], fidelities: Sequence[float]) -> tuple[FloatArray, FloatArray, float]:
        curve, billions = curves[tuple(hp[key] for key in names)]
        return curve, np.clip(np.asarray(fidelities, dtype=int), 1, len(curve)), billions

    def values(hp: Mapping[str, Any], fidelities: Sequence[float]) -> FloatArray:
        curve, steps, _ = at(hp, fidelities)
        return curve[steps - 1]

    def seconds(hp: Mapping[str, Any], fidelities: Sequence[float]) -> FloatArray:
        _, steps, billions = at(hp, fidelities)
        return steps * billions

    last = [float(curve[-1]) for curve, _ in curves.values()]
    mean = float(np.mean([len(curve) * billions for curve, billions in curves.values()]))
    longest = max(len(curve) for curve, _ in curves.values())
    return FidelityTask(name, space, 1, longest, values, seconds, max(last), float(np.median(last)), mean)


def hartmann(name: str, n: int, bias: float = 2.5, spread: float = 2.0) -> FidelityTask:
    """Hartmann's function of 3 or 6 variables with other, lower humps and one-sided noise below full fidelity.

    Source: Kandasamy et al. 2017, ICML, Multi-fidelity Bayesian Optimisation with Continuous Approximations.
    """

    def values(hp: Mapping[str, Any], fidelities: Sequence[float]) -> FloatArray:
        x = _vector(hp, n)
        humps = np.exp(-(_HARTMANN_A[n] * (x - _HARTMANN_P[n]) ** 2).sum(axis=1))
        u = 1 - np.log(np.asarray(fidelities, dtype=float)) / math.log(_HIGH_Z)
        key = zlib.crc32(x.tobytes())
        return _HARTMANN_ALPHA @ humps - u * (bias * humps.sum() + spread * _noise(key, fidelities))

    def seconds(_: Mapping[str, Any], fidelities: Sequence[float]) -> FloatArray:
        return 0.05 + 0.95 * (np.asarray(fidelities, dtype=float) / _HIGH_Z) ** 2

    space = Space(tuple(real(f"x{k}", 0, 1) for k in range(n)))
    median = reference()[f"hartmann{n}"]["median"]
    return FidelityTask(name, space, 1, _HIGH_Z, values, seconds, _HARTMANN_BEST[n], median)


@functools.lru_cache(maxsize=4096)
def _noise_of(key: int) -> FloatArray:
    """``(100,)`` absolute normal numbers of a configuration, one for each fidelity."""
    return np.abs(np.random.default_rng(key).normal(size=_HIGH_Z))


def _noise(key: int, fidelities: Sequence[float]) -> FloatArray:
    return _noise_of(key)[np.asarray(fidelities, dtype=int) - 1]


def hartmann_amplitude(name: str = "mf_hartmann6_toy") -> FidelityTask:
    """Hartmann 6, whose curves fall to the true value as r^-1/2 from amplitudes of their own; negated, 81 epochs."""
    exact = hartmann(name, 6, 0.0, 0.0)

    def values(hp: Mapping[str, Any], fidelities: Sequence[float]) -> FloatArray:
        x = _vector(hp, 6)
        amplitude = 1 + math.cos(2 * math.pi * x[:3].sum()) + 0.5 * x[3:].sum()
        return exact.true(hp) - amplitude * (np.asarray(fidelities, dtype=float) ** -0.5 - 81**-0.5)

    return FidelityTask(
        name, exact.space, 1, 81, values, lambda _, r: np.asarray(r, dtype=float), exact.best, exact.median, 81.0
    )


def lying(task: FidelityTask, name: str) -> FidelityTask:
    """The same task, but that fidelities below a third show the curve of another, random configuration."""
    honest_from = round(task.high / 3) if task.is_count else task.high / 3 * (1 - 1e-9)

    def values(hp: Mapping[str, Any], fidelities: Sequence[float]) -> FloatArray:
        r = np.asarray(fidelities, dtype=float)
        is_lie = r < honest_from
        found = np.empty(len(r))
        if not is_lie.all():
            found[~is_lie] = task.values(hp, r[~is_lie])
        if is_lie.any():
            found[is_lie] = task.values(_other(hp), r[is_lie])
        return found

    def _other(hp: Mapping[str, Any]) -> Mapping[str, Any]:
        text = json.dumps(dict(sorted(hp.items())), default=float)
        return task.space.sample(np.random.default_rng(zlib.crc32(text.encode())))

    low, high = task.low, task.high
    return FidelityTask(name, task.space, low, high, values, task.seconds, task.best, task.median, task.mean_seconds)
