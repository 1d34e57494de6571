"""Evaluation specifications: what a suggestion is in blackboxopt's words."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from blackboxopt.evaluation import EvaluationSpecification

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.trial import Suggestion

__all__ = ["Specifier"]

Key = tuple[int, int, int]


class Specifier:
    """The maker of the specifications of a search.

    Args:
        name: The name of the algorithm.
        hpo: The optimizer; its seed must be known.
    """

    def __init__(self, name: str, hpo: BaseHPOptimizer) -> None:
        self._name, self._hpo = name, hpo
        self._keys: dict[int, Key] = {}
        self._n_in: Counter[tuple[int, int]] = Counter()

    def specify(self, suggestion: Suggestion) -> EvaluationSpecification:
        """Return the specification of a suggestion; the suggestions before it must have been :meth:`follow`-ed.

        Its ``optimizer_info`` has these entries, and the notes of the algorithm beside them:

        ========================  =============================================================================
        ``id``                    a string of its own for each specification, also for each fidelity of a
                                  configuration; the same in every process with the same seed
        ``number``                the number of the trial
        ``configuration_key``     bracket and rung where the configuration was first suggested, and its place
                                  there; the same for each fidelity
        ``model_based_pick``      whether a model chose it; None where the algorithm does not say
        ``resume``, ``fork``      the id of the specification whose training it continues, or whose checkpoint
                                  it may start from; missing where there is none
        ========================  =============================================================================
        """
        info: dict[str, Any] = {
            **suggestion.info,
            "id": self.id_of(suggestion),
            "number": suggestion.number,
            "configuration_key": self._keys[suggestion.number],
            "model_based_pick": _is_model_based(suggestion.info),
        }
        for link in ("resume", "fork"):
            number = getattr(suggestion, link)
            earlier = None if number is None else self._hpo.history.get(number)
            if earlier is not None:
                info[link] = self.id_of(earlier.suggestion)
        settings = {} if suggestion.fidelity is None else {"fidelity": suggestion.fidelity}
        return EvaluationSpecification(configuration=dict(suggestion), settings=settings, optimizer_info=info)

    def follow(self, suggestion: Suggestion) -> None:
        """Take a suggestion in, in the order of their numbers."""
        known = None if suggestion.resume is None else self._keys.get(suggestion.resume)
        if known is None:
            bracket, rung = (_count(suggestion.info.get(note)) for note in ("bracket", "rung"))
            known = bracket, rung, self._n_in[bracket, rung]
            self._n_in[bracket, rung] += 1
        self._keys[suggestion.number] = known

    def id_of(self, suggestion: Suggestion) -> str:
        """Return the id of a suggestion, which says what it is: another optimizer's is another one."""
        hp = self._hpo.space.key(suggestion)
        parts = [self._name, self._hpo.seed, suggestion.number, hp, suggestion.fidelity]
        return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(parts)))


def _count(value: object) -> int:
    return value if type(value) is int else 0


def _is_model_based(info: Mapping[str, Any]) -> bool | None:
    """Whether a model chose a configuration, by the notes of the algorithms that say so."""
    if "fallback" in info:
        return False
    if "model" in info:
        return bool(info["model"])
    if "arm" in info:
        return bool(info["arm"] != "random")
    if "expected_improvement" in info:
        return True
    return False if info.get("member") == "bayes" else None
