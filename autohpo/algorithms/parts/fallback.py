"""Fallback: a suggestion in place of one that an algorithm could not compute."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.errors import AlgorithmError, AutoHPOError
from autohpo.trial import Suggestion

if TYPE_CHECKING:
    from autohpo.algorithms.base import BaseHPOptimizer

BUILT_IN = "autohpo.algorithms."
MAX_CHARACTERS = 200  # of the reason that is kept


@contextmanager
def naming(hpo: BaseHPOptimizer, hook: str) -> Iterator[None]:
    """Name the algorithm and its hook in what the hook raises, where that is none of our errors.

    Args:
        hpo: The algorithm.
        hook: The name of the hook that is called inside.

    Raises:
        AlgorithmError: The hook raised; the cause is chained.
    """
    try:
        yield
    except (AutoHPOError, NotImplementedError, Warning):
        raise
    except Exception as fault:
        raise AlgorithmError(f"{type(hpo).__name__}.{hook}: raised {_text_of(fault)}") from fault


def _text_of(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}".rstrip(": ")[:MAX_CHARACTERS]


class Fallback:
    """Calls the hook that suggests, and draws from the prior where an algorithm of ours raises.

    A model may meet a numerical fault that no check foresaw; that must cost one suggestion, and not the search. An
    algorithm of the user's own is wrong where it raises, and says so. Where an algorithm schedules fidelities the draw
    starts as a point of the user's would, so a scheduler that raises itself has no substitute.

    Args:
        hpo: The optimizer.

    Attributes:
        n: How many suggestions were drawn so.
    """

    def __init__(self, hpo: BaseHPOptimizer) -> None:
        self._hpo = hpo
        self.n = 0

    def suggested(self, pid: int, seed: int, number: int) -> Any:
        """Return what the hook suggests, or a draw from the prior that follows from seed and number.

        Args:
            pid: The worker slot that will run it.
            seed: The seed of the search.
            number: The number of the suggestion.

        Raises:
            AlgorithmError: The hook raised what is none of our errors, and there is no fallback for it.
        """
        hpo = self._hpo
        try:
            return hpo._get_suggestion(pid)
        except (AutoHPOError, NotImplementedError, Warning):  # the last: somebody wants warnings to be errors
            raise
        except Exception as fault:
            text = _text_of(fault)
            try:
                made = self._drawn(pid, np.random.default_rng((seed, number, 2)))
            except Exception:
                made = None
            if made is None:
                who = f"{type(hpo).__name__}._get_suggestion"
                raise AlgorithmError(f"{who}: raised {text}, for suggestion {number}") from fault
        self._warn(text, number)
        made.info["fallback"] = text
        return made

    def _drawn(self, pid: int, rng: np.random.Generator) -> Suggestion | None:
        """A draw from the prior, at the fidelity where a point would start; None where the algorithm is not ours."""
        if not type(self._hpo).__module__.startswith(BUILT_IN):
            return None
        hp = self._hpo._suggest_point(pid, self._hpo.space.sample(rng, 1)[0])
        return hp if isinstance(hp, Suggestion) else Suggestion(hp)

    def _warn(self, text: str, number: int) -> None:
        self.n += 1
        if self.n == 1:
            who = type(self._hpo).__name__
            warnings.warn(
                f"{who}: could not compute suggestion {number} ({text}), so it is a draw from the prior; "
                "info['fallback'] marks all that are",
                RuntimeWarning,
                stacklevel=2,
            )
