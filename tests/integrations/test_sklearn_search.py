"""HPOSearchCV without fidelities: what scikit-learn's own searches do with the same candidates, it does."""

from __future__ import annotations

import inspect
import pickle
import re
import warnings

import numpy as np
import pytest
import scipy.stats as st
import sklearn
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import get_scorer, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import autohpo
from autohpo import ChoiceHP, LogRangeHP, OptionError, RangeHP, SpaceError
from autohpo.errors import AutoHPOError, StoreMismatchError
from autohpo.integrations.sklearn import HPOSearchCV

X, Y = make_classification(120, 6, n_informative=4, random_state=0)
GROUPS = np.arange(120) // 10
WEIGHTS = np.random.default_rng(0).uniform(0.1, 2, 120)
GRID = {"max_depth": [1, 2, 5], "criterion": ["gini", "entropy"]}
TREE = DecisionTreeClassifier(random_state=0)


def on_a_grid(estimator=TREE, grid=GRID, **options):
    """A search over a whole grid, which GridSearchCV does likewise."""
    n = int(np.prod([len(values) for values in grid.values()]))
    return HPOSearchCV(estimator, grid, algorithm="grid", n_trials=n, **options)


def assert_same_table(ours, theirs, names=None):
    """Fails unless two searches measured the same of the same candidates, in whatever order."""
    places = [ours.cv_results_["params"].index(params) for params in theirs.cv_results_["params"]]
    compared = [name for name in theirs.cv_results_ if "time" not in name and name != "params"]
    for name in compared:
        got, wanted = ours.cv_results_[name][places], theirs.cv_results_[name]
        assert type(got) is type(wanted), name
        if name.startswith("param_"):
            assert got.tolist() == wanted.tolist(), name
        else:
            np.testing.assert_allclose(got, wanted, err_msg=name)
    assert {name for name in ours.cv_results_ if name != "trial"} == set(theirs.cv_results_)
    assert ours.n_splits_ == theirs.n_splits_
    assert ours.multimetric_ == theirs.multimetric_
    if hasattr(theirs, "best_score_"):
        assert ours.best_score_ == pytest.approx(theirs.best_score_)
        assert ours.best_score_ == ours.cv_results_[f"mean_test_{names or 'score'}"][ours.best_index_]


@pytest.mark.parametrize("train", [False, True])
def test_the_table_is_that_of_a_grid_search_over_the_same_candidates(train):
    """Scores of each fold, means, deviations, ranks, parameters, train scores; the order alone differs."""
    common = {"cv": 4, "return_train_score": train}
    ours = on_a_grid(**common).fit(X, Y)
    theirs = GridSearchCV(TREE, GRID, **common).fit(X, Y)
    assert_same_table(ours, theirs)
    assert len(ours.result_) == 6
    assert ours.result_.best.perf == pytest.approx(theirs.best_score_)
    best = clone(TREE).set_params(**ours.best_params_).fit(X, Y)
    np.testing.assert_array_equal(ours.predict(X), best.predict(X))
    assert ours.score(X, Y) == best.score(X, Y)
    np.testing.assert_array_equal(ours.classes_, [0, 1])
    assert ours.n_features_in_ == 6


@pytest.mark.parametrize("scoring", [["accuracy", "roc_auc"], {"roc_auc": "roc_auc", "accuracy": "accuracy"}])
def test_several_metrics_with_the_one_that_refits(scoring):
    """The search is for that metric; the others stand in the table."""
    common = {"scoring": scoring, "refit": "roc_auc", "cv": 3, "return_train_score": True}
    ours = on_a_grid(**common).fit(X, Y)
    assert_same_table(ours, GridSearchCV(TREE, GRID, **common).fit(X, Y), "roc_auc")
    assert ours.result_.best.perf == pytest.approx(ours.cv_results_["mean_test_roc_auc"].max())
    assert set(ours.scorer_) == {"accuracy", "roc_auc"}


def two_scores(estimator, X, y):
    """Return two metrics by name, as a scoring function may."""
    return {"accuracy": estimator.score(X, y), "depth": -estimator.get_depth()}


@pytest.mark.parametrize("scoring", [["accuracy", "roc_auc"], two_scores], ids=["list", "callable"])
def test_a_function_may_refit_and_nothing_may(scoring):
    """The function gets the table and names a row; without refit there is a table alone."""
    first = lambda table: int(np.argmin(table["mean_fit_time"] >= 0))
    ours = on_a_grid(scoring=scoring, refit=first, cv=3).fit(X, Y)
    theirs = GridSearchCV(TREE, GRID, scoring=scoring, refit=first, cv=3).fit(X, Y)
    assert_same_table(ours, theirs)
    assert ours.best_index_ == theirs.best_index_ == 0
    assert not hasattr(ours, "best_score_")
    without = on_a_grid(scoring=scoring, refit=False, cv=3).fit(X, Y)
    assert_same_table(without, theirs)
    assert not hasattr(without, "best_estimator_")


def test_without_a_metric_that_refits_all_are_objectives_and_one_may_be_named():
    """A Pareto front of both, or a search for the named one."""
    scoring = {"accuracy": "accuracy", "simple": two_scores_of("depth")}
    both = on_a_grid(scoring=scoring, refit=False, cv=3, algorithm_options=None).set_params(algorithm="random")
    both.fit(X, Y)
    assert both.result_.objectives.names == ("accuracy", "simple")
    depths = {trial.hp["max_depth"] for trial in both.result_.pareto}
    assert 1 in depths  # the simplest is on the front of any results
    one = clone(both).set_params(metric="simple").fit(X, Y)
    assert one.result_.best.perf == one.cv_results_["mean_test_simple"].max()
    with pytest.raises(OptionError, match="metric: must be one of"):
        clone(both).set_params(metric="f1").fit(X, Y)
    with pytest.raises(OptionError, match="metric: must be None"):
        on_a_grid(metric="accuracy").fit(X, Y)
    with pytest.raises(OptionError, match="metric: must be one of the scores"):
        on_a_grid(scoring=two_scores, refit=False, metric="f1").fit(X, Y)


def two_scores_of(name):
    """A scorer of one of these two."""
    return lambda estimator, X, y: two_scores(estimator, X, y)[name]


@pytest.mark.parametrize("cv", [GroupKFold(3), KFold(3, shuffle=True, random_state=1), [(range(60), range(60, 120))]])
def test_groups_and_any_splitter_reach_the_folds(cv):
    """A splitter by groups, a shuffled one, a list of folds."""
    groups = {"groups": GROUPS} if isinstance(cv, GroupKFold) else {}
    ours = on_a_grid(cv=cv).fit(X, Y, **groups)
    assert_same_table(ours, GridSearchCV(TREE, GRID, cv=cv).fit(X, Y, **groups))


def test_sample_weights_reach_fit_and_score():
    """With scores that are weighted themselves, as GridSearchCV of the same release does it."""
    ours = on_a_grid(cv=3).fit(X, Y, sample_weight=WEIGHTS)
    theirs = GridSearchCV(TREE, GRID, cv=3).fit(X, Y, sample_weight=WEIGHTS)
    assert_same_table(ours, theirs)
    assert not np.allclose(ours.best_score_, on_a_grid(cv=3).fit(X, Y).best_score_)


def test_metadata_is_routed_to_estimator_scorer_and_splitter():
    """With routing enabled, what was requested goes where it was requested; what nobody requests is an error."""
    with sklearn.config_context(enable_metadata_routing=True):
        tree = clone(TREE).set_fit_request(sample_weight=True)
        scorer = make_scorer(get_scorer("accuracy")._score_func).set_score_request(sample_weight=True)
        common = {"cv": GroupKFold(3), "scoring": scorer}
        params = {"sample_weight": WEIGHTS, "groups": GROUPS}
        ours = on_a_grid(tree, **common).fit(X, Y, **params)
        theirs = GridSearchCV(tree, GRID, **common).fit(X, Y, **params)
        assert_same_table(ours, theirs)
        assert ours.score(X, Y, sample_weight=WEIGHTS) == theirs.score(X, Y, sample_weight=WEIGHTS)
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            on_a_grid(**common).fit(X, Y, **params)


def test_folds_are_drawn_once():
    """An unseeded splitter would give other folds at each call; equal models have equal scores in all batches."""
    space = {"copy_X": [True, False]}  # of no effect
    table = on_a_grid(Ridge(), space, cv=ShuffleSplit(3, test_size=0.3)).fit(X, Y).cv_results_
    for split in range(3):
        scores = table[f"split{split}_test_score"]
        assert scores[0] == scores[1]
    assert len({table[f"split{split}_test_score"][0] for split in range(3)}) == 3


def test_pipelines_and_conditional_parameters():
    """Inactive parameters keep the pipeline's own values, and are masked in the table."""
    pipe = make_pipeline(StandardScaler(), SVC(gamma=0.25, C=3))
    rbf = [LogRangeHP("svc__gamma", 1e-3, 1.0)]
    space = [ChoiceHP("svc__kernel", ["linear", "rbf"], children={"rbf": rbf}), RangeHP("svc__C", 0.5, 2.0)]
    search = HPOSearchCV(pipe, space, algorithm="random", n_trials=12, cv=3, random_state=0).fit(X, Y)
    table = search.cv_results_
    is_linear = np.array([params["svc__kernel"] == "linear" for params in table["params"]])
    assert 0 < is_linear.sum() < 12
    assert table["param_svc__gamma"].mask.tolist() == is_linear.tolist()
    assert all(
        ("svc__gamma" in params) is not linear for params, linear in zip(table["params"], is_linear, strict=True)
    )
    i = int(np.flatnonzero(is_linear)[0])
    own = cross_val_score(clone(pipe).set_params(**table["params"][i]), X, Y, cv=3)
    assert table["mean_test_score"][i] == pytest.approx(own.mean())
    assert pipe.get_params()["svc__C"] == 3


def test_steps_of_a_pipeline_may_be_searched():
    """A choice among estimators; each is cloned before it is fitted."""
    steps = [SVC(), DecisionTreeClassifier(random_state=0)]
    pipe = make_pipeline(StandardScaler(), SVC())
    pipe.steps[-1] = ("clf", pipe.steps[-1][1])
    search = HPOSearchCV(pipe, {"clf": steps}, algorithm="grid", n_trials=2, cv=3).fit(X, Y)
    assert sorted(type(params["clf"]).__name__ for params in search.cv_results_["params"]) == [
        "DecisionTreeClassifier",
        "SVC",
    ]
    assert not hasattr(steps[0], "support_")


class Fragile(ClassifierMixin, BaseEstimator):
    """Fails for some values, in all folds or in some."""

    def __init__(self, x=0.0, where="all"):
        self.x, self.where = x, where

    def fit(self, X, y):
        """Fail, or not."""
        if self.x > 0.5 and (self.where == "all" or X[0, 0] == globals()["X"][0, 0]):
            raise RuntimeError("too large")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        """Return one class."""
        return np.full(len(X), self.classes_[0])


@pytest.mark.parametrize("n_jobs", [1, 12])
@pytest.mark.parametrize(
    "scoring", ["accuracy", ["accuracy", "f1"], lambda e, X, y: {"accuracy": e.score(X, y), "k": 1}]
)
def test_a_configuration_that_fails_in_all_folds_does_not_end_the_search(n_jobs, scoring):
    """Alone in its batch or not, with one metric or several: its row is nan, the worst, and the others go on."""
    refit = "accuracy" if scoring != "accuracy" else True
    search = HPOSearchCV(
        Fragile(),
        {"x": st.uniform(0, 1)},
        algorithm="random",
        n_trials=12,
        cv=3,
        scoring=scoring,
        refit=refit,
        random_state=0,
    )
    search.set_params(batch_size=n_jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    name = "score" if scoring == "accuracy" else "accuracy"
    x = np.array(search.cv_results_["param_x"], dtype=float)
    assert 0 < (x > 0.5).sum() < 12
    assert np.isnan(search.cv_results_[f"mean_test_{name}"]).tolist() == (x > 0.5).tolist()
    assert search.best_params_["x"] <= 0.5
    assert search.result_.counts() == {"COMPLETE": (x <= 0.5).sum(), "FAILED": (x > 0.5).sum()}
    assert "too large" in next(trial.error for trial in search.result_ if trial.error)


def test_a_failure_in_some_folds_is_no_result_unless_it_has_a_score():
    """With nan the mean is nan, so the trial failed; with a number it has that score in that fold, as GridSearchCV."""
    space = {"x": [0.1, 0.9], "where": ["first"]}
    search = on_a_grid(Fragile(), space, cv=KFold(3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, Y)
    assert [one.category for one in caught] == [FitFailedWarning, UserWarning]  # the latter of scores that are nan
    assert search.result_.counts() == {"COMPLETE": 1, "FAILED": 1}
    for error_score in (0.0, -5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = on_a_grid(Fragile(), space, cv=KFold(3), error_score=error_score).fit(X, Y)
            theirs = GridSearchCV(Fragile(), space, cv=KFold(3), error_score=error_score).fit(X, Y)
        assert_same_table(ours, theirs)
        assert ours.result_.counts() == {"COMPLETE": 2}


def test_errors_are_raised_where_they_are_to_be():
    """error_score="raise" raises the estimator's own; where nothing at all could be fitted scikit-learn's error is."""
    with pytest.raises(RuntimeError, match="too large"):
        on_a_grid(Fragile(), {"x": [0.9, 0.8]}, error_score="raise").fit(X, Y)
    search = on_a_grid(Fragile(), {"x": [0.9, 0.8]})
    with pytest.raises(ValueError, match="fits failed"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y)
    assert not hasattr(search, "cv_results_")


def bayes(**options):
    """A small search with a model."""
    return HPOSearchCV(
        SVC(), {"C": st.loguniform(0.01, 100), "gamma": st.loguniform(1e-3, 1)}, n_trials=8, cv=3, **options
    )


def test_the_same_random_state_gives_the_same_search_in_every_backend():
    """Threads, processes or neither; another state, or another RandomState of the same seed, is as expected."""
    first = bayes(random_state=3).fit(X, Y).cv_results_["params"]
    for backend in ("threading", "loky"):  # loky's processes also serve the test of fidelities
        with parallel_config(backend, n_jobs=2):
            search = bayes(random_state=3, batch_size=1).fit(X, Y)
        assert search.cv_results_["params"] == first
    assert bayes(random_state=4).fit(X, Y).cv_results_["params"] != first
    drawn = [bayes(random_state=np.random.RandomState(1)).fit(X, Y).cv_results_["params"] for _ in range(2)]
    assert drawn[0] == drawn[1]
    with pytest.raises(OptionError, match="random_state: must be"):
        bayes(random_state="one").fit(X, Y)


def test_it_is_an_estimator_among_others():
    """Cloned, changed, pickled, nested in a cross-validation; ``fit`` changes no argument."""
    search = bayes(random_state=0)
    before = search.get_params(deep=False)
    twin = clone(search).set_params(n_trials=3, estimator__kernel="linear")
    assert (search.n_trials, twin.n_trials, search.estimator.kernel) == (8, 3, "rbf")
    twin.fit(X, Y)
    search.fit(X, Y)
    assert all(search.get_params(deep=False)[name] is value for name, value in before.items())
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert [trial.perf for trial in again.result_] == [trial.perf for trial in search.result_]
    scores = cross_val_score(clone(twin), X, Y, cv=StratifiedKFold(3))
    assert scores.shape == (3,)
    assert (scores > 0.5).all()
    assert autohpo.HPOSearchCV is HPOSearchCV


def test_a_search_that_fails_leaves_the_last_one_as_it_was():
    """The attributes of an earlier ``fit`` stay whole."""
    search = bayes(random_state=0).fit(X, Y)
    best = search.best_params_
    with pytest.raises(ValueError, match="inconsistent"):
        search.fit(X, Y[:-1])
    assert search.best_params_ == best


def test_a_search_goes_on_in_its_store(tmp_path):
    """A search that was interrupted goes on where it was, and then has the table of one that was not."""
    path = tmp_path / "run.db"
    options = {"random_state": 5, "return_train_score": True, "algorithm": "tpe"}
    whole = bayes(**options).fit(X, Y)
    SVCThatStops.left = 3 * 4 + 1  # in the second fold of the fifth trial
    stopped = bayes(**options, store=path).set_params(estimator=SVCThatStops())
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y)
    SVCThatStops.left = SVCThatStops.n = 10**9
    stopped.fit(X, Y)
    assert 10**9 - SVCThatStops.left == 3 * 4 + 1  # four trials in three folds, and the refit
    for name in ("params", "split1_test_score", "mean_train_score", "std_test_score", "rank_test_score"):
        assert np.array_equal(stopped.cv_results_[name], whole.cv_results_[name]), name
    more = clone(stopped).set_params(n_trials=9).fit(X, Y)
    assert more.cv_results_["params"][:8] == whole.cv_results_["params"]
    again = clone(more).fit(X, Y)  # nothing is left to do but to fit the best
    assert again.cv_results_["params"] == more.cv_results_["params"]
    assert again.best_score_ == more.best_score_
    with pytest.raises(StoreMismatchError):
        clone(more).set_params(cv=4).fit(X, Y)


class SVCThatStops(SVC):
    """Counts down with each fit, and then is as if Ctrl-C was pressed."""

    left = 0

    def fit(self, X, y):
        """Fit, or raise KeyboardInterrupt."""
        if not SVCThatStops.left:
            raise KeyboardInterrupt
        SVCThatStops.left -= 1
        return super().fit(X, y)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_trials": 0}, "n_trials: must be None or an integer of at least 1, got 0"),
        ({"batch_size": True}, "batch_size: must be None or an integer"),
        ({"time_limit": 0}, "time_limit: must be None or seconds above 0"),
        ({"min_fidelity": 1}, "min_fidelity: must be None where fidelity is"),
        ({"max_fidelity": 1}, "max_fidelity: must be None where fidelity is"),
        ({"algorithm": "tpr"}, "'tpr': no such algorithm"),
        ({"algorithm": "pbt"}, "algorithm: must not copy trainings"),
        ({"algorithm": "tpe", "budget": 3}, "budget: 'tpe' has none; give n_trials"),
        ({"algorithm_options": {"seed": 1}}, "algorithm_options: must not hold 'seed'; give random_state="),
        ({"algorithm_options": {"et": 1}}, "et: .* no such option"),
        ({"algorithm_options": 3}, "algorithm_options: must be a dict"),
        ({"space": {"C": "rbf"}}, "C: must be a parameter such as RangeHP"),
    ],
)
def test_a_wrong_argument_is_an_error_of_fit(options, text):
    """The text names argument, rule and value; nothing is said before ``fit``, as scikit-learn wants it."""
    search = bayes().set_params(**options)
    with pytest.raises(AutoHPOError, match=text) as caught:
        search.fit(X, Y)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("habit", "here"),
    [
        ({"param_grid": {"C": [1, 2]}}, "space"),
        ({"param_distributions": {"C": [1, 2]}}, "space"),
        ({"space": {"C": [1, 2]}, "n_iter": 5}, "n_trials"),
        ({"space": {"C": [1, 2]}, "seed": 0}, "random_state"),
        ({"space": {"C": [1, 2]}, "factor": 3}, "algorithm_options={'eta': ...}"),
    ],
)
def test_an_argument_of_another_search_says_what_it_is_called_here(habit, here):
    """Names of scikit-learn's own searches, and of others; any other one is Python's TypeError."""
    (name,) = set(habit) - {"space"}
    with pytest.raises(OptionError, match=re.escape(f"{name}: HPOSearchCV has no such argument; it is called {here}")):
        HPOSearchCV(SVC(), **habit)
    with pytest.raises(TypeError, match="nonsense"):
        HPOSearchCV(SVC(), {"C": [1, 2]}, nonsense=3)
    names = list(inspect.signature(HPOSearchCV).parameters)
    assert names[:2] == ["estimator", "space"]
    assert set(names) == set(HPOSearchCV(SVC(), {"C": [1, 2]}).get_params(deep=False))


def test_an_unknown_parameter_of_the_estimator_is_an_error_of_scikit_learn():
    """As it is in GridSearchCV."""
    with pytest.raises(ValueError, match="Invalid parameter 'c' for estimator SVC"):
        HPOSearchCV(SVC(), {"c": [1, 2]}, n_trials=1).fit(X, Y)
    with pytest.raises(SpaceError):
        HPOSearchCV(SVC(), None).fit(X, Y)


def test_limits_end_the_search():
    """A time limit after the batch that it falls into; without any limit there are as many trials as in optimize."""
    assert len(bayes(time_limit=1e-9).fit(X, Y).result_) == 1
    assert len(bayes(algorithm="random").set_params(n_trials=None, cv=2).fit(X[:40], Y[:40]).result_) == 100
    assert len(HPOSearchCV(SVC(), {"C": [1, 2]}, algorithm="random", cv=2).fit(X, Y).result_) == 2


def test_points_are_tried_first():
    """The configuration that a user trusts is the first row."""
    search = bayes(algorithm_options={"points": [{"C": 1.5, "gamma": 0.2}]}).fit(X, Y)
    assert search.cv_results_["params"][0] == {"C": 1.5, "gamma": 0.2}


@pytest.mark.skipif(not hasattr(GridSearchCV, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
@pytest.mark.parametrize("estimator", [LogisticRegression(), SGDClassifier(random_state=0)])
def test_callbacks_see_every_fit(estimator):
    """As many evaluations begin and end as there are folds of trials, below one search, and one refit."""
    seen = []

    class Watcher:
        """Notes the name and the parent of each task."""

        def setup(self, estimator, context):
            """Note nothing."""

        def teardown(self, estimator, context):
            """Note the end."""
            seen.append(("teardown", ""))

        def on_fit_task_begin(self, estimator, context):
            """Note a beginning."""
            seen.append(("begin", context.task_name))

        def on_fit_task_end(self, estimator, context):
            """Note an end."""
            seen.append(("end", context.task_name))

    space = {"alpha" if isinstance(estimator, SGDClassifier) else "C": st.loguniform(1e-3, 1)}
    search = HPOSearchCV(estimator, space, n_trials=4, cv=3, random_state=0)
    search.set_callbacks(Watcher()).fit(X, Y)
    names = [name for kind, name in seen if kind == "begin"]
    assert names.count("candidate-split-evaluation") == 12
    assert (names.count("search"), names.count("batch"), names.count("refit-with-best-params")) == (1, 4, 1)
    assert sorted(names) == sorted(name for kind, name in seen if kind == "end")
    assert seen[-1] == ("teardown", "")
