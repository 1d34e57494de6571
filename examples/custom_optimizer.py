"""An algorithm of your own: a (1+1) evolution strategy in one method, registered, checked and used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autohpo import BaseHPOptimizer, ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name, register_hpo
from autohpo.testing import check_optimizer


@register_hpo("one_plus_one")
@dataclass(eq=False, kw_only=True)
class OnePlusOne(BaseHPOptimizer):
    """Moves the best configuration by a normal step in the unit cube."""

    step: float = 0.1

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        done = [trial for trial in self.trials if trial.score is not None]  # a failed trial has none
        if not done:
            return self.space.sample(self.rng, 1)[0]
        parent = self.space.encode([max(done, key=lambda trial: trial.score).hp])
        child = (parent + self.rng.normal(0.0, self.step, parent.shape)).clip(0.0, 1.0)
        return self.space.decode(child)[0]


def objective(hps: dict[str, Any]) -> float:
    """Best at lr = .01, hops = 3, adam."""
    return -abs(hps["lr"] - 0.01) - abs(hps["hops"] - 3) - (hps["opti"] != "adam")


def main() -> None:
    """Checks the algorithm, then uses it."""
    results = check_optimizer("one_plus_one")
    print(f"{len(results)} checks passed")
    space = [LogRangeHP("lr", 1e-4, 1e-1), RangeHP("hops", 1, 8), ChoiceHP("opti", ["adam", "sgd"])]
    hpo = build_hpo_from_name("one_plus_one", space, objective, max_evals=60, seed=0, step=0.2)
    print(hpo.optimize())


if __name__ == "__main__":
    main()
