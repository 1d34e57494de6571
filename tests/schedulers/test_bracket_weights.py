"""Learned weights of the brackets: exact shares, and what asynchronous halving draws with them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from autohpo.errors import OptionError
from autohpo.schedulers.asha import AsyncPromotion, AsyncStopping, bracket_weights
from autohpo.schedulers.bracket_weights import learned_weights

RUNGS = [1, 3, 9, 27]
STATIC = bracket_weights(RUNGS, 3)


def test_weights_are_the_trust_by_the_cost():
    """Theta over r, scaled to 1: by fractions."""
    trust = [Fraction(1, 10), Fraction(2, 10), Fraction(7, 10)]
    by_cost = [theta / r for theta, r in zip(trust, RUNGS, strict=False)]
    wanted = [float(w / sum(by_cost)) for w in by_cost]
    assert learned_weights(RUNGS, STATIC, [float(t) for t in trust]) == pytest.approx(wanted, rel=1e-14)
    assert learned_weights(RUNGS, STATIC, [*map(float, trust), 5.0]) == pytest.approx(wanted, rel=1e-14)  # no bracket


def test_a_short_list_trusts_none_of_the_rest_and_no_trust_is_hyperbands():
    """Rungs above the last one that can be judged get none; where nothing is known it is the static one."""
    assert learned_weights(RUNGS, STATIC, [0.5]).tolist() == [1.0, 0.0, 0.0]
    for trust in (None, [], [0.0, 0.0], [0.0, 0.0, 0.0, 1.0]):
        assert learned_weights(RUNGS, STATIC, trust) is STATIC
    for trust in ([0.5, -0.1], [np.nan], [np.inf]):
        with pytest.raises(OptionError, match="at least 0"):
            learned_weights(RUNGS, STATIC, trust)


@pytest.mark.parametrize("kind", [AsyncPromotion, AsyncStopping])
def test_new_configurations_start_as_often_as_the_weights_say(search_of, kind):
    """All at the second rung first, and at the third once the history is long; as Hyperband has them without."""
    scheduler = kind(RUNGS, 3.0, n_brackets=3)
    scheduler.weights = lambda seen: None if seen.n_asked < 5 else [0, 1, 0] if seen.n_asked < 40 else [0, 1, 9]
    search = search_of(scheduler)
    for _ in range(400):
        search.tell(search.ask().number, None)  # all fail, so none is promoted
    levels = [s.info["rung"] for s in search.asked]
    assert set(levels[5:40]) == {1}
    share = np.mean(np.array(levels[40:]) == 2)
    assert set(levels[40:]) == {1, 2}
    assert abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 360)  # 9 / 9 against 1 / 3


def test_one_bracket_asks_nobody(search_of):
    """Where there is one rung to start at, the weights are not asked for."""
    scheduler = AsyncPromotion(RUNGS, 3.0)
    scheduler.weights = lambda seen: pytest.fail("asked")
    assert search_of(scheduler).ask().fidelity == 1
