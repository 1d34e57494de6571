"""XGBoost, LightGBM and CatBoost: generators that boost each round once, and callbacks that go on."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from autohpo import LogRangeHP, OptionError, TrialState, build_hpo_from_name
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle

pytestmark = pytest.mark.extras

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 5))
Y = (X[:, 0] + X[:, 1] + 0.3 * rng.normal(size=300) > 0).astype(int)
TRAIN, VALID = slice(0, 200), slice(200, 300)


class XGBoost:
    """What differs between the libraries, for the tests that all of them pass."""

    name, metric, kept = "xgboost", "logloss", "rounds-{}.ubj"
    params = {"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": 2, "seed": 0, "nthread": 1}  # noqa: RUF012
    both = {**params, "eval_metric": ["auc", "logloss"]}  # noqa: RUF012
    has_start = True

    def __init__(self):
        self.library = pytest.importorskip("xgboost", reason="XGBoost is not installed: pip install 'autohpo[xgboost]'")
        self.ours = importlib.import_module("autohpo.integrations.xgboost")

    def data(self):
        return (self.library.DMatrix(X[part], Y[part]) for part in (TRAIN, VALID))

    def model(self, n):
        """A model of n rounds, by the library's own function."""
        return self.library.train(self.params, next(iter(self.data())), n)

    def loss(self, model):
        """The logistic loss of the validation data, by its formula."""
        return logistic_loss(model.predict(self.library.DMatrix(X[VALID])))

    def n_rounds(self, model):
        return model.num_boosted_rounds()

    def read(self, path):
        return self.library.Booster(model_file=str(path))

    def fit(self, report, n_rounds, is_continued=True):
        start, n_done = (report.init_model, report.n_done) if is_continued else (None, 0)
        train, valid = self.data()
        return self.library.train(
            self.params,
            train,
            n_rounds - n_done,
            evals=[(valid, "valid")],
            xgb_model=start,
            callbacks=[report],
            verbose_eval=False,
        )


class LightGBM(XGBoost):
    """Its generator begins anew where it starts again."""

    name, metric, kept = "lightgbm", "binary_logloss", "rounds-{}.txt"
    params = {  # noqa: RUF012
        "objective": "binary",
        "metric": "binary_logloss",
        "max_depth": 2,
        "seed": 0,
        "verbose": -1,
        "num_threads": 1,
        "deterministic": True,
    }
    both = {**params, "metric": ["auc", "binary_logloss"]}  # noqa: RUF012
    has_start = False

    def __init__(self):
        self.library = pytest.importorskip("lightgbm", reason="LightGBM is not installed")
        self.ours = importlib.import_module("autohpo.integrations.lightgbm")

    def data(self):
        train = self.library.Dataset(X[TRAIN], Y[TRAIN], params={"verbose": -1})
        return train, self.library.Dataset(X[VALID], Y[VALID], reference=train, params={"verbose": -1})

    def loss(self, model):
        return logistic_loss(model.predict(X[VALID]))

    def n_rounds(self, model):
        return model.num_trees()

    def read(self, path):
        return self.library.Booster(model_file=str(path))

    def fit(self, report, n_rounds, is_continued=True):
        start, n_done = (report.init_model, report.n_done) if is_continued else (None, 0)
        train, valid = self.data()
        more = {"init_model": start, "callbacks": [report]}
        return self.library.train(self.params, train, n_rounds - n_done, valid_sets=[valid], **more)


class CatBoost(XGBoost):
    """Each step of its generator is a fit."""

    name, metric, kept = "catboost", "Logloss", "rounds-{}.cbm"
    params = {  # noqa: RUF012
        "loss_function": "Logloss",
        "depth": 2,
        "learning_rate": 0.3,
        "random_seed": 0,
        "thread_count": 1,
        "verbose": False,
        "allow_writing_files": False,
        "use_best_model": False,
    }
    both = {**params, "custom_metric": ["AUC"]}  # noqa: RUF012

    def __init__(self):
        self.library = pytest.importorskip("catboost", reason="CatBoost is not installed")
        self.ours = importlib.import_module("autohpo.integrations.catboost")

    def data(self):
        return (self.library.Pool(X[part], Y[part]) for part in (TRAIN, VALID))

    def loss(self, model):
        return logistic_loss(model.predict(X[VALID], prediction_type="Probability")[:, 1])

    def n_rounds(self, model):
        return model.tree_count_

    def read(self, path):
        return self.library.CatBoost().load_model(str(path))

    def fit(self, report, n_rounds, is_continued=True):
        start, n_done = (report.init_model, report.n_done) if is_continued else (None, 0)
        train, valid = self.data()
        model = self.library.CatBoost({**self.params, "iterations": n_rounds - n_done})
        model.fit(train, eval_set=valid, init_model=start, callbacks=[report])
        report.save(model)
        return model


def logistic_loss(p):
    """Its definition, of the probability of class 1."""
    return -np.mean(np.log(np.where(Y[VALID] == 1, p, 1 - p)))


@pytest.fixture(params=[XGBoost, LightGBM, CatBoost], ids=lambda one: one.name)
def lib(request):
    """Each of the libraries that is installed."""
    return request.param()


def run(evaluator, number, fidelity, folder, reports=None):
    """The outcome of a task of the chain whose root is trial 0."""
    task = Task(number, 1, {}, fidelity=fidelity, root=0, checkpoint_dir=str(folder))
    return evaluator.run(task, lambda *r: (reports if reports is not None else []).append(r[:2]) or True)


def test_a_generator_boosts_each_round_once_and_yields_the_metric_of_the_validation_data(lib, tmp_path):
    """Three rungs; the model that is kept has the rounds of the last, and its loss is what was reported."""
    train, valid = lib.data()

    def f(hps, trial):
        yield from lib.ours.boost(lib.params, train, valid, n_rounds=27, every=1, trial=trial)

    evaluator, reports = Evaluator(Objective.of(f)), []
    for number, fidelity in enumerate((1, 3, 9)):
        outcome = run(evaluator, number, fidelity, tmp_path, reports)
        assert outcome.state is TrialState.COMPLETE, outcome.error
        path = tmp_path / lib.kept.format(fidelity)
        assert [one.name for one in tmp_path.iterdir()] == [path.name]
        model = lib.read(path)
        assert lib.n_rounds(model) == fidelity
        assert outcome.perf == pytest.approx(lib.loss(model), rel=1e-5)  # trees are of single precision
    assert [fidelity for fidelity, _ in reports] == list(range(1, 10))
    assert reports[8][1] < reports[0][1] < math.log(2)


@pytest.mark.parametrize("kind", [XGBoost, LightGBM], ids=lambda one: one.name)
def test_a_paused_booster_is_the_model_of_the_library_s_own_loop(kind, tmp_path):
    """Nine rounds with two pauses are what ``train`` makes of nine rounds, number by number."""
    lib = kind()
    train, valid = lib.data()

    def f(hps, trial):
        yield from lib.ours.boost(lib.params, train, valid, n_rounds=27, trial=trial)

    evaluator = Evaluator(Objective.of(f))
    for number, fidelity in enumerate((1, 3, 9)):
        run(evaluator, number, fidelity, tmp_path)
    data = lib.library.DMatrix(X[VALID]) if kind is XGBoost else X[VALID]
    found = lib.read(tmp_path / lib.kept.format(9)).predict(data)
    np.testing.assert_array_equal(found, lib.model(9).predict(data))


@pytest.mark.parametrize("kind", [XGBoost, CatBoost], ids=lambda one: one.name)
def test_a_generator_that_starts_again_goes_on_with_the_model_that_was_kept(kind, tmp_path):
    """Another process has only the folder: the first value is that of the model, and only what is new is boosted."""
    lib = kind()
    train, valid = lib.data()

    def f(hps, trial):
        yield from lib.ours.boost(lib.params, train, valid, n_rounds=27, every=2, trial=trial)

    seen = []
    for number, fidelity in enumerate((1, 3, 3, 9)):
        seen.append([])
        outcome = run(Evaluator(Objective.of(f)), number, fidelity, tmp_path, seen[-1])
        assert outcome.state is TrialState.COMPLETE, outcome.error
        assert lib.n_rounds(lib.read(tmp_path / lib.kept.format(2 * fidelity))) == 2 * fidelity
    assert [[fidelity for fidelity, _ in one] for one in seen] == [[1], [1, 2, 3], [3], [3, 4, 5, 6, 7, 8, 9]]
    assert seen[2][0][1] == pytest.approx(seen[1][2][1], rel=1e-6)
    whole = []
    run(Evaluator(Objective.of(f)), 9, 9, tmp_path / "whole", whole)
    assert seen[3][-1][1] == pytest.approx(whole[-1][1], rel=1e-6)


def test_a_full_training_ends_with_the_booster_and_its_last_rounds_are_kept(lib, tmp_path):
    """Seven rounds in steps of three: two full steps, and what is left."""
    train, valid = lib.data()
    trial = TrialHandle(Task(0, 1, {}, checkpoint_dir=str(tmp_path)), lambda *_: True)
    steps, values = lib.ours.boost(lib.params, train, valid, n_rounds=7, every=3, trial=trial), []
    while True:
        try:
            values.append(next(steps))
        except StopIteration as end:
            model = end.value
            break
    assert len(values) == 3
    assert lib.n_rounds(model) == 7
    assert lib.n_rounds(lib.read(tmp_path / lib.kept.format(7))) == 7


def test_one_of_several_metrics_is_the_result_and_the_others_are_kept(lib, tmp_path):
    """Without a name there would be two results; the error lists them."""
    train, valid = lib.data()
    wanted = "AUC" if lib.name == "catboost" else "auc"
    perf, others = next(lib.ours.boost(lib.both, train, valid, n_rounds=9, metric=wanted))
    assert 0.5 < perf < 1
    assert len(others) == 1
    with pytest.raises(OptionError, match=r"metric: must name one of '.*', '.*', got None"):
        next(lib.ours.boost(lib.both, train, valid, n_rounds=9))
    with pytest.raises(OptionError, match=r"metric: must name one of .*, got str 'f1'"):
        next(lib.ours.boost(lib.both, train, valid, n_rounds=9, metric="f1"))


def test_impossible_arguments_are_refused(lib):
    """Each is named, with its rule and its value."""
    train, valid = lib.data()
    with pytest.raises(OptionError, match="every: must be an integer from 1, got int 0"):
        next(lib.ours.boost(lib.params, train, valid, n_rounds=9, every=0))
    with pytest.raises(OptionError, match="n_rounds: must be an integer from 1, got float 9.5"):
        next(lib.ours.boost(lib.params, train, valid, n_rounds=9.5))
    with pytest.raises(OptionError, match="trial: must be the trial that the objective was given, got str 'x'"):
        next(lib.ours.boost(lib.params, train, valid, n_rounds=9, trial="x"))
    with pytest.raises(OptionError, match="trial: must be the trial"):
        lib.ours.ReportCallback(None)
    with pytest.raises(OptionError, match="every: must be an integer from 1, got bool True"):
        lib.ours.ReportCallback(TrialHandle(Task(0, 1, {}, checkpoint_dir="unused"), lambda *_: True), every=True)


def test_a_callback_stops_at_the_rung_and_a_promoted_trial_boosts_only_what_is_new(lib, tmp_path):
    """The library's own loop: each attempt begins with the model of the one before it."""
    boosted = []

    def f(hps, trial):
        report = lib.ours.ReportCallback(trial, every=2)
        model = lib.fit(report, 54)
        boosted.append(lib.n_rounds(model) - report.n_done)
        assert report.n_done == sum(boosted[:-1])

    assert Objective.of(f).is_continued
    reports = []
    for number, fidelity in enumerate((1, 3, 9)):
        outcome = run(Evaluator(Objective.of(f)), number, fidelity, tmp_path, reports)
        assert (outcome.state, outcome.error) == (TrialState.COMPLETE, "")
        model = lib.read(tmp_path / lib.kept.format(2 * fidelity))
        assert outcome.perf == pytest.approx(lib.loss(model), rel=1e-5)
    assert boosted == [2, 4, 12]
    assert [fidelity for fidelity, _ in reports] == list(range(1, 10))


def test_a_callback_that_is_not_asked_where_to_begin_counts_from_the_first_round(lib, tmp_path):
    """Who trains anew at each rung is told nothing of an earlier model."""

    def f(hps, trial):
        report = lib.ours.ReportCallback(trial)
        if trial.number == 0:
            lib.fit(report, 27)
            return
        lib.fit(report, 27, is_continued=False)

    assert run(Evaluator(Objective.of(f)), 0, 2, tmp_path).error == ""
    reports = []
    assert run(Evaluator(Objective.of(f)), 1, 3, tmp_path, reports).error == ""
    assert [fidelity for fidelity, _ in reports] == [1, 2, 3]


def test_a_callback_without_validation_data_says_so(lib, tmp_path):
    """There would be nothing to report."""
    train, _ = lib.data()

    def f(hps, trial):
        report = lib.ours.ReportCallback(trial)
        if lib.name != "catboost":
            lib.library.train(lib.params, train, 3, callbacks=[report])
        else:
            lib.library.CatBoost({**lib.params, "iterations": 3}).fit(train, callbacks=[report])

    outcome = run(Evaluator(Objective.of(f)), 0, 9, tmp_path)
    assert outcome.state is TrialState.FAILED
    assert "must hold the validation data, got" in outcome.error


@pytest.mark.parametrize("how", [{}, {"num_workers": 2}])
def test_bohb_tunes_the_learning_rate_by_boosting(lib, how):
    """A whole search: no training is repeated, so the rounds of all trials are those of the highest rungs."""
    name = lib.name
    params, key = dict(lib.params), "eta" if name == "xgboost" else "learning_rate"

    def f(hps, module=f"autohpo.integrations.{name}", x=X, y=Y):
        import importlib

        boost = importlib.import_module(module).boost
        if name == "xgboost":
            import xgboost

            train, valid = xgboost.DMatrix(x[:200], y[:200]), xgboost.DMatrix(x[200:], y[200:])
        elif name == "lightgbm":
            import lightgbm

            train = lightgbm.Dataset(x[:200], y[:200], params={"verbose": -1})
            valid = lightgbm.Dataset(x[200:], y[200:], reference=train, params={"verbose": -1})
        else:
            import catboost

            train, valid = catboost.Pool(x[:200], y[:200]), catboost.Pool(x[200:], y[200:])
        yield from boost({**params, key: hps["eta"]}, train, valid, n_rounds=27, every=3)

    hpo = build_hpo_from_name(
        "bohb", [LogRangeHP("eta", 0.01, 1.0)], f, mode="min", max_fidelity=9, max_evals=14, seed=0
    )
    _, best = hpo.optimize(progress=False, **how)
    assert {trial.state for trial in hpo.result.trials} == {TrialState.COMPLETE}
    assert best < math.log(2)
    promoted = [trial for trial in hpo.result.trials if trial.resume is not None]
    assert promoted
    for trial in promoted:
        assert trial.reports[0][0] == hpo.result.trials[trial.resume].fidelity + 1


def test_the_estimators_of_scikit_learn_s_kind_take_the_callbacks_too(tmp_path):
    """``XGBClassifier`` and ``LGBMClassifier`` stop where the search says so."""

    def xgb(hps, trial):
        import xgboost

        from autohpo.integrations.xgboost import ReportCallback

        model = xgboost.XGBClassifier(n_estimators=27, n_jobs=1, callbacks=[ReportCallback(trial)])
        model.fit(X[TRAIN], Y[TRAIN], eval_set=[(X[VALID], Y[VALID])], verbose=False)
        assert model.get_booster().num_boosted_rounds() == 4

    def lgbm(hps, trial):
        import lightgbm

        from autohpo.integrations.lightgbm import ReportCallback

        model = lightgbm.LGBMClassifier(n_estimators=27, n_jobs=1, verbose=-1)
        model.fit(X[TRAIN], Y[TRAIN], eval_X=(X[VALID],), eval_y=(Y[VALID],), callbacks=[ReportCallback(trial)])
        assert model.booster_.current_iteration() == 4

    for f in (xgb, lgbm):
        pytest.importorskip("xgboost" if f is xgb else "lightgbm", reason="it is not installed")
        folder = tmp_path / f.__name__
        outcome = run(Evaluator(Objective.of(f)), 0, 4, folder)
        assert outcome.error == ""
        assert outcome.reached == 4
