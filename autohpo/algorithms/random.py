"""Random search: configurations drawn from the prior, each on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import register_hpo


@register_hpo("random")
@dataclass(eq=False, kw_only=True)
class RandomSearch(BaseHPOptimizer):
    """Draws every configuration from the prior: uniform on a range, on a log range in the logarithm.

    The yardstick for every other algorithm, and a sound choice where very many trials run at once.

    Source: Bergstra & Bengio 2012, JMLR 13, 281-305.
    """

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        return self.space.sample(self.rng, 1)[0]
