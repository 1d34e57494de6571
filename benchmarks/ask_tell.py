"""What a suggestion costs: CPU time of one ask and one tell, beside other libraries, on one space in one run.

    python benchmarks/ask_tell.py            # 100, 200 and 1,000 finished trials
    python benchmarks/ask_tell.py --large    # 10,000 too

The table comes twice: with one BLAS thread, and in the environment as it is, where a user has set nothing.

All have the same 10 parameters (5 floats, 2 of them on a log scale; 2 ints; 3 choices of 4) and random results.
Batches of all optimizers take turns, so that a busy machine slows them alike; the medians are printed, and their
ratio to our own algorithm of the same kind. The BOHBs run at one fidelity and always draw from their model, the
slower of their two ways.
"""

from __future__ import annotations

import os
import sys

os.environ.update(  # numpy reads them when it is imported
    {}
    if "--default-threads" in sys.argv
    else {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
)

import argparse
import math
import subprocess
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from autohpo import ChoiceHP, LogRangeHP, RangeHP, SearchSpace, Suggestion, build_hpo_from_name
from autohpo.errors import RegistryError

FLOATS, LOG_FLOATS, INTS, CHOICES = ("x", "y", "z"), ("lr", "decay"), {"hops": 8, "units": 64}, ("act", "norm", "pool")
LEVELS = ("a", "b", "c", "d")
ONE_FIDELITY = {"min_fidelity": 1.0, "max_fidelity": 1.0, "random_fraction": 0.0}

Step = Callable[[], Any]
"""Asks once and tells a random result."""


def our_space() -> SearchSpace:
    """The space in our own terms."""
    parameters = [RangeHP(name, 0.0, 1.0) for name in FLOATS]
    parameters += [LogRangeHP(name, 1e-5, 1.0) for name in LOG_FLOATS]
    parameters += [RangeHP(name, 1, high) for name, high in INTS.items()]
    return SearchSpace([*parameters, *(ChoiceHP(name, LEVELS) for name in CHOICES)])


def ours(algorithm: str, n: int, rng: np.random.Generator) -> Step:
    """Filled with n random trials; a BOHB by its own suggestions, as its brackets are part of its state."""
    is_bohb = algorithm == "bohb"
    hpo = build_hpo_from_name(algorithm, our_space(), seed=0, **(ONE_FIDELITY if is_bohb else {}))

    def step() -> None:
        hpo.tell(hpo.ask(), rng.random())

    if is_bohb:
        for _ in range(n):
            step()
    else:
        for number, hp in enumerate(hpo.space.sample(rng, n)):
            suggestion = Suggestion(hp, number=number)
            hpo.adopt(suggestion)
            hpo.tell(suggestion, rng.random())
    return step


def optuna_tpe(n: int, rng: np.random.Generator) -> Step:
    """Optuna's multivariate TPE, filled by ``study.add_trials``."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spread = optuna.distributions
    space: dict[str, Any] = {name: spread.FloatDistribution(0.0, 1.0) for name in FLOATS}
    space |= {name: spread.FloatDistribution(1e-5, 1.0, log=True) for name in LOG_FLOATS}
    space |= {name: spread.IntDistribution(1, high) for name, high in INTS.items()}
    space |= {name: spread.CategoricalDistribution(LEVELS) for name in CHOICES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "multivariate is experimental"
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(multivariate=True, seed=0))
    create = optuna.trial.create_trial
    hps = our_space().sample(rng, n)
    study.add_trials([create(params=hp, distributions=space, value=rng.random()) for hp in hps])

    def step() -> None:
        study.tell(study.ask(space), rng.random())

    return step


def hyperopt_tpe(n: int, rng: np.random.Generator) -> Step:
    """TPE of hyperopt, filled by its own random search; trials go in and out as ``fmin`` does it."""
    from hyperopt import JOB_STATE_DONE, STATUS_OK, Domain, Trials, hp, rand, tpe

    space = {name: hp.uniform(name, 0.0, 1.0) for name in FLOATS}
    space |= {name: hp.loguniform(name, math.log(1e-5), 0.0) for name in LOG_FLOATS}
    space |= {name: hp.uniformint(name, 1, high) for name, high in INTS.items()}
    space |= {name: hp.choice(name, LEVELS) for name in CHOICES}
    domain, trials = Domain(lambda _: 0.0, space), Trials()

    def suggest(algorithm: Any, count: int) -> None:
        seed = int(rng.integers(2**31 - 1))
        documents = algorithm.suggest(trials.new_trial_ids(count), domain, trials, seed)
        for document in documents:
            document["state"], document["result"] = JOB_STATE_DONE, {"status": STATUS_OK, "loss": rng.random()}
        trials.insert_trial_docs(documents)
        trials.refresh()

    suggest(rand, n)
    return lambda: suggest(tpe, 1)


def blackboxopt_bohb(n: int, rng: np.random.Generator) -> Step:
    """BOHB of blackboxopt, filled by its own suggestions: it takes no others."""
    import parameterspace as ps
    from blackboxopt import Objective
    from blackboxopt.optimizers.bohb import BOHB

    space = ps.ParameterSpace()
    for name in FLOATS:
        space.add(ps.ContinuousParameter(name, bounds=(0.0, 1.0)))
    for name in LOG_FLOATS:
        space.add(ps.ContinuousParameter(name, bounds=(1e-5, 1.0), transformation="log"))
    for name, high in INTS.items():
        space.add(ps.IntegerParameter(name, bounds=(1, high)))
    for name in CHOICES:
        space.add(ps.CategoricalParameter(name, values=LEVELS))
    objective = Objective("loss", greater_is_better=False)
    bohb = BOHB(space, objective, num_iterations=10**6, seed=0, **ONE_FIDELITY)

    def step() -> None:
        specification = bohb.generate_evaluation_specification()
        bohb.report(specification.create_evaluation(objectives={"loss": rng.random()}))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels, at each of its models
        for _ in range(n):
            step()
    return step


KINDS: dict[str, dict[str, Callable[[int, np.random.Generator], Step]]] = {
    "random": {"autohpo random": lambda n, rng: ours("random", n, rng)},
    "tpe": {
        "autohpo tpe": lambda n, rng: ours("tpe", n, rng),
        "optuna tpe, multivariate": optuna_tpe,
        "hyperopt tpe": hyperopt_tpe,
    },
    "bayes": {"autohpo bayes": lambda n, rng: ours("bayes", n, rng)},
    "bohb": {"autohpo bohb": lambda n, rng: ours("bohb", n, rng), "blackboxopt bohb": blackboxopt_bohb},
}
MOST = {"blackboxopt bohb": 200, "autohpo bayes": 1000}
"""Finished trials that an optimizer is measured with at most: more take minutes."""


def measure(n: int, rounds: int, skipped: dict[str, str]) -> dict[str, float]:
    """Median CPU milliseconds of each optimizer with n finished trials; `skipped` gets the others and why."""
    steps: dict[str, Step] = {}
    for name, make in [item for kind in KINDS.values() for item in kind.items()]:
        if n <= MOST.get(name, n):
            try:
                steps[name] = make(n, np.random.default_rng(n))
            except (ImportError, RegistryError) as error:
                skipped[name] = f"{type(error).__name__}: {error}"
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for _ in range(3):
                    step()
            times[name].append((time.process_time() - start) / 3 * 1e3)
    return {name: median(batches[1:]) for name, batches in times.items()}  # the first warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also with 10,000 finished trials")
    parser.add_argument("--rounds", type=int, default=9, help="batches of three suggestions for each (default: 9)")
    parser.add_argument("--default-threads", action="store_true", help="leave the number of BLAS threads as it is")
    options = parser.parse_args()
    sizes = [100, 200, 1000] + [10_000] * options.large
    skipped: dict[str, str] = {}
    found = {n: measure(n, options.rounds, skipped) for n in sizes}

    threads = "as many BLAS threads as there are" if options.default_threads else "one BLAS thread"
    print(f"CPU ms for one ask + tell with n finished trials, and its ratio to ours; {threads}\n")
    print(f"{'':26s}" + "".join(f"{f'n={n:,}':>12s}{'ratio':>8s}" for n in sizes))
    for kind in KINDS.values():
        own = next(iter(kind))
        for name in kind:
            cells = [(found[n].get(name), found[n].get(own)) for n in sizes]
            if any(value is not None for value, _ in cells):
                print(f"{name:26s}" + "".join(map(cell, cells)))
    for name, reason in skipped.items():
        print(f"{name:26s} not measured: {reason}")
    for name, most in MOST.items():
        if name not in skipped:
            print(f"\n{name} is measured up to n={most}: more takes minutes.")
    if not options.default_threads:  # what users have, who set nothing: once more in a process of its own
        print(flush=True)
        free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--default-threads"], check=True, env=free)


def cell(times: tuple[float | None, float | None]) -> str:
    """A time and its ratio to ours, as the table has them."""
    value, own = times
    if value is None:
        return f"{'-':>12s}{'':8s}"
    return f"{value:12.3f}" + (f"{value / own:7.1f}x" if own else " " * 8)


if __name__ == "__main__":
    main()
