"""HPOSearchCV passes and fails the very checks of scikit-learn that its own random search passes and fails."""

from __future__ import annotations

import warnings

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import RandomizedSearchCV
from sklearn.utils.estimator_checks import check_estimator

from autohpo.integrations.sklearn import HPOSearchCV


def statuses(search):
    """The status of each check by its name and number: some run more than once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = check_estimator(search, on_skip=None, on_fail=None)
    return [(one["check_name"], one["status"]) for one in done]


@pytest.mark.parametrize(("estimator", "name"), [(Ridge(), "alpha"), (LogisticRegression(), "C")], ids=["Ridge", "LR"])
def test_the_same_checks_pass_and_fail_as_for_the_random_search(estimator, name):
    """The oracle is RandomizedSearchCV in the same process; nearly all of some fifty checks pass."""
    common = {"cv": 2, "random_state": 0, "error_score": "raise"}
    space = {name: [0.1, 1.0]}
    theirs = statuses(RandomizedSearchCV(estimator, space, n_iter=2, **common))
    ours = statuses(HPOSearchCV(estimator, space, n_trials=2, **common))
    assert ours == theirs
    assert sum(status == "passed" for _, status in ours) >= 45
