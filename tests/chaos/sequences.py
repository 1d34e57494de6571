"""Sequences: what each registered algorithm suggests with one seed, as JSON, to be compared between processes.

    python tests/chaos/sequences.py [NAME ...]

prints one JSON object: for each name the configurations, in order, with their fidelities. The objective is computed
from integers and rounded, so that it does not depend on the last bits of a mathematical library.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from autohpo import ChoiceHP, LogRangeHP, OrdinalHP, RangeHP, Suggestion, available_hpos, build_hpo_from_name
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import AutoHPOError, NotReady, OptimizationComplete

N_TRIALS = 24
MAX_FIDELITY = 9
SPACE = [
    LogRangeHP("lr", 1e-4, 1.0),
    RangeHP("hops", 1, 8),
    RangeHP("dropout", 0.0, 0.9),
    ChoiceHP("act", ["relu", "tanh", None], children={"relu": [RangeHP("slope", 0.0, 0.5)]}),
    OrdinalHP("width", [16, 64, 256]),
]


def perf_of(hp: dict[str, Any], fidelity: float | None = None) -> float:
    """What a configuration gives; rounded, so that all platforms agree."""
    bad = (math.log10(hp["lr"]) + 2) ** 2 + 0.1 * (hp["hops"] - 3) ** 2 + hp["dropout"] - hp.get("slope", 0.1)
    bad += {16: 0.4, 64: 0.0, 256: 0.2}[hp["width"]]
    return -round(bad * (1 + 1 / (fidelity or MAX_FIDELITY)), 6)


def options_of(name: str) -> dict[str, Any]:
    """The options that an algorithm needs here: a highest fidelity where it gives some."""
    cls = get_hpo(name)
    return {"max_fidelity": MAX_FIDELITY} if "max_fidelity" in option_names(cls) and cls.is_multi_fidelity else {}


def steps(hps: dict[str, Any], trial: Any) -> Iterator[float]:
    """A training of some epochs, which can go on from what it has saved."""
    path = trial.checkpoint_dir / "epoch"
    done = int(path.read_text()) if path.exists() else 0
    for epoch in range(1, MAX_FIDELITY + 1):
        if epoch > done:
            path.write_text(str(epoch))
        yield perf_of(hps, epoch)


def objective_of(name: str) -> Any:
    """An objective that suits an algorithm."""
    return steps if options_of(name) else perf_of_full


def perf_of_full(hps: dict[str, Any]) -> float:
    """A training in full."""
    return perf_of(hps)


def built(name: str, n: int = N_TRIALS, f: Any = None) -> Any:
    """An optimizer with seed 7."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return build_hpo_from_name(name, SPACE, f, seed=7, max_evals=n, **options_of(name))


def emulated(name: str, n_open: int, n: int = N_TRIALS) -> list[Any]:
    """The suggestions of a search in which `n_open` trials are open, and the oldest of them is told first."""
    hpo = built(name, n)
    hpo.has_fidelity = hpo.is_continued = bool(options_of(name))  # as of an objective that yields
    hpo.set_up(n_open)
    asked: list[Suggestion] = []
    queue: list[Suggestion] = []
    while True:
        try:
            while len(queue) < n_open:
                suggestion = hpo.ask(hpo.n_asked % n_open)
                asked.append(suggestion)
                queue.append(suggestion)
        except (NotReady, OptimizationComplete):
            pass
        if not queue:
            return [shown(suggestion) for suggestion in asked]
        oldest = queue.pop(0)
        known = 0 if oldest.resume is None else int(asked[oldest.resume].fidelity or 0)
        for epoch in range(known + 1, int(oldest.fidelity or 0) + 1):
            hpo.report(oldest, epoch, perf_of(dict(oldest), epoch))
        hpo.tell(oldest, perf_of(dict(oldest), oldest.fidelity))


def shown(suggestion: Suggestion) -> list[Any]:
    """A suggestion in JSON types."""
    return [{name: suggestion[name] for name in sorted(suggestion)}, suggestion.fidelity]


def sequences(names: Sequence[str]) -> dict[str, Any]:
    """The suggestions of each algorithm, one worker; the error of one that does not take the space."""
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = emulated(name, 1)
        except AutoHPOError as error:
            found[name] = [f"{type(error).__name__}: {error}"]
    return found


def main() -> None:
    """Print the sequences."""
    warnings.simplefilter("ignore")
    import numpy as np
    import scipy
    import sklearn

    versions = {"python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__}
    versions["sklearn"] = sklearn.__version__
    names = sys.argv[1:] or [name for name in available_hpos() if ":" not in name]
    print(json.dumps({"versions": versions, "sequences": sequences(names)}))


if __name__ == "__main__":
    main()
