"""optuna-dashboard itself over our runs, its plots, and the command that starts it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, build_hpo_from_name
from autohpo.cli import exits
from autohpo.errors import NoRunError, OptionError

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore:.*is experimental"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of bottle and plotly
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Some regimes for parameter"),  # few trials have the conditional one
]
optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")
pytest.importorskip("optuna_dashboard", reason="the extra autohpo[dashboard] is not installed")
pytest.importorskip("plotly", reason="the extra autohpo[dashboard] is not installed")

SINGLE = (
    "optimization_history",
    "slice",
    "contour",
    "parallel_coordinate",
    "edf",
    "rank",
    "timeline",
    "intermediate_values",
    "param_importances",
)


def train(hps):
    """A training that is paused at rungs, and fails here and there."""
    for step in range(1, 10):
        if hps["opti"] == "sgd" and hps["x"] > 0.9:
            raise ValueError("diverged")
        yield hps["x"] - hps.get("m", 0.0) + step / 100


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The path of a store with a multi-fidelity run over a conditional space."""
    path = tmp_path_factory.mktemp("run") / "run.db"
    space = [
        RangeHP("x", 0.0, 1.0),
        LogRangeHP("lr", 1e-4, 1e-1),
        ChoiceHP("opti", ["adam", "sgd", (1, 2)], children={"sgd": [RangeHP("m", 0.0, 0.9)]}),
    ]
    hpo = build_hpo_from_name("bohb", space, train, min_fidelity=1, max_fidelity=9, max_evals=80, seed=1, sampler="kde")
    hpo.optimize(store=path, name="toy", progress=False, max_consecutive_failures=None)
    return path


@pytest.fixture(scope="module")
def served(run):
    """A server over it: itself, and what gets a path with the cookie."""
    from autohpo.integrations.optuna import DashboardServer

    server = DashboardServer(run, port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.open(server.url, timeout=60).read()
    base = server.url.partition("/?")[0]

    def get(path):
        with opener.open(base + path, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()

    yield server, get
    server.stop()
    thread.join()
    server.close()


def test_the_pages_and_their_data_are_there(run, served):
    """All that its front end asks for."""
    result = Result.load(run)
    _, get = served
    for path in ("/dashboard", "/dashboard/studies/0", "/static/bundle.js", "/api/meta", "/csv/0"):
        assert get(path)[0] == 200, path
    listed = json.loads(get("/api/studies")[2])["study_summaries"]
    assert [(one["study_id"], one["study_name"], one["directions"]) for one in listed] == [(0, "toy", ["maximize"])]
    found = json.loads(get("/api/studies/0")[2])
    assert len(found["trials"]) == len(result)
    assert [one["number"] for one in found["best_trials"]] == [result.best.number]
    assert json.loads(get("/api/studies/0?after=70")[2])["trials"][0]["number"] == 70
    names = [one["name"] for one in json.loads(get("/api/studies/0/param_importances")[2])["param_importances"][0]]
    assert {"x", "lr", "opti"} <= set(names)
    assert len(list(csv.reader(get("/csv/0")[2].decode().splitlines(keepends=True)))) == len(result) + 1


@pytest.mark.parametrize("name", ["contour", "slice", "parallel_coordinate", "rank", "edf", "timeline"])
def test_the_plots_that_its_server_draws_are_there(served, name):
    """As figures of plotly."""
    code, _, body = served[1](f"/api/studies/0/plot/{name}")
    assert code == 200
    assert json.loads(body)["data"]


def test_nobody_changes_anything_through_the_page(run, served):
    """Neither with the cookie nor without it; the guard's own attacks are in its own tests."""
    before = run.read_bytes()
    server, get = served
    base = server.url.partition("/?")[0]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{base}/api/studies/0", timeout=60)
    assert refused.value.code == 403
    for method, path in (("DELETE", "/api/studies/0"), ("POST", "/api/studies"), ("PUT", "/api/studies/0/note")):
        request = urllib.request.Request(base + path, data=b"{}", method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 405
    assert get("/api/studies/0")[0] == 200
    assert run.read_bytes() == before


def test_every_answer_of_the_app_has_our_headers(served):
    """In place of its own policy; what a run is stays out of caches."""
    for path in ("/dashboard", "/api/studies/0", "/static/bundle.js"):
        headers = served[1](path)[1]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert (headers.get("Cache-Control") == "no-store") is not path.startswith("/static/")


@pytest.mark.parametrize("name", SINGLE)
def test_every_plot_of_optuna_can_be_drawn(run, name):
    """Of the run as it is, and of a view with fewer levels and trials."""
    from autohpo.integrations.optuna import study

    draw = getattr(optuna.visualization, f"plot_{name}")
    for there in (study(run), study(run, levels=10, most_trials=30)):
        assert len(draw(there).data) > 0


@pytest.mark.parametrize("name", SINGLE)
def test_every_plot_of_optuna_can_be_drawn_by_matplotlib(run, name):
    """Where that is installed."""
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is in no extra")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt
    from optuna.visualization import matplotlib as twins

    from autohpo.integrations.optuna import study

    getattr(twins, f"plot_{name}")(study(run))
    plt.close("all")


def test_plots_of_several_objectives_can_be_drawn(tmp_path):
    """The front that Optuna draws is ours."""
    from autohpo.integrations.optuna import study

    def f(hps):
        return {"acc": hps["x"] ** 0.5, "size": hps["x"], "n": 3}, {"limit": hps["x"] - 0.9}

    mode = {"acc": "max", "size": "min"}
    hpo = build_hpo_from_name("nsga2", [RangeHP("x", 0.0, 1.0)], f, mode=mode, max_evals=60, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    there = study(tmp_path / "run.db")
    figure = optuna.visualization.plot_pareto_front(there, include_dominated_trials=False)
    drawn = {point for trace in figure.data for point in zip(trace.x, trace.y, strict=True)}
    drawn = {(acc, size) for acc, size in drawn if size <= 0.9}  # it draws those that miss the limit, too, in grey
    assert drawn == {trial.perfs for trial in hpo.result.pareto}
    optuna.visualization.plot_hypervolume_history(there, [0.0, 1.0])
    for name in ("edf", "slice"):
        getattr(optuna.visualization, f"plot_{name}")(there, target=lambda trial: trial.values[0], target_name="acc")


@pytest.mark.parametrize(("kind", "code"), [("SIGINT", exits.INTERRUPTED), ("SIGTERM", 143), ("SIGHUP", 129)], ids=str)
def test_a_signal_ends_the_command(run, kind, code):
    """With its exit code, and without a word; the address that it has printed works until then."""
    command = [sys.executable, "-m", "autohpo", "dashboard", str(run), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = json.loads(server.stdout.readline())
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    assert b"/dashboard/studies/0" in opener.open(said["url"], timeout=60).read()
    assert opener.open(f"http://127.0.0.1:{said['port']}/api/studies/0", timeout=60).status == 200
    os.kill(server.pid, getattr(signal, kind))
    out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (code, "", "")


def test_what_cannot_be_served_is_an_error(run, served, tmp_path):
    """A port that is taken, one that is none, and a store that is not there."""
    from autohpo.integrations.optuna import DashboardServer

    with pytest.raises(OptionError, match=r"port: \d+ of '127.0.0.1' cannot be listened on"):
        DashboardServer(run, port=served[0].port)
    with pytest.raises(OptionError, match="port: must be an integer from 0 to 65535, got 65536"):
        DashboardServer(run, port=65536)
    with pytest.raises(OptionError, match="port: 0 of 'no such host' cannot be listened on"):
        DashboardServer(run, host="no such host", port=0)
    with pytest.raises(NoRunError):
        DashboardServer(tmp_path / "no.db", port=0)
