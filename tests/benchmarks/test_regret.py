"""The regret benchmark: its tasks, races, files and tables, and the adapters that can be loaded here."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import regret
from suite import coco, yahpo
from suite.catalogue import SLOW, SPLIT, make_task, names_of
from suite.race import CHECKPOINTS, Exhausted, Run, race
from suite.report import Regrets, Shown, interval, print_report, regrets_of
from suite.results import ResultFile
from suite.rivals import RIVALS, Setting, make_optimizer
from suite.space import Space, choice, ordinal, real, whole
from suite.tables import table
from suite.task import Task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CONDITIONAL = Space(
    (
        choice("kind", ["a", "b", True]),
        real("x", -2.0, 3.0),
        real("rate", 1e-5, 1e2, log=True),
        whole("n", -3, 4),
        whole("units", 1, 1000, log=True),
        ordinal("batch", [8, 16, 64, 512]),
        whole("depth", 1, 3).under("kind", "a", "b"),
        choice("sub", ["u", "v"]).under("kind", "b"),
        real("deep", 0.0, 1.0).under("sub", "v"),
    )
)


def complaints(space, hp):
    """What is wrong with a configuration, by the definition of a space alone."""
    active = [p for p in space.parameters if p.parent is None or hp.get(p.parent, object) in p.when]
    found = [] if {p.name for p in active} == set(hp) else [f"has {sorted(hp)}, not {[p.name for p in active]}"]
    for p in active:
        value = hp.get(p.name)
        if p.is_list:
            if not any(value is one or (value == one and type(value) is type(one)) for one in p.values):
                found.append(f"{p.name}: {value!r}")
        elif type(value) is not (int if p.kind == "whole" else float) or not p.low <= value <= p.high:
            found.append(f"{p.name}: {value!r}")
    return found


class Scripted:
    """Asks for the values of a list in turn, and notes what it is told."""

    def __init__(self, values, named=None):
        self.values, self.named, self.told, self.n_open, self.most_open = list(values), named, [], 0, 0

    def ask(self):
        if not self.values:
            raise Exhausted
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        value = self.values.pop(0)
        return value, {"x": value}

    def tell(self, token, value):
        self.n_open -= 1
        self.told.append((token, value))

    def best(self):
        return self.named


LINE = Task("line", "formula", Space((real("x", 0, 1),)), lambda hp: hp["x"], best=1.0, median=0.5)


def test_random_configurations_hold_the_active_parameters_and_legal_values() -> None:
    """A draw from a space with two levels of conditions never strays."""
    rng = np.random.default_rng(0)
    drawn = [CONDITIONAL.sample(rng) for _ in range(300)]
    assert [complaints(CONDITIONAL, hp) for hp in drawn] == [[]] * 300
    assert {len(hp) for hp in drawn} == {6, 7, 8, 9}


def test_numbers_on_a_logarithmic_scale_are_drawn_by_their_logarithm() -> None:
    """Half the draws lie below the geometric mean; each whole number gets its share of the logarithm."""
    rng = np.random.default_rng(0)
    rates = np.array([real("r", 1e-4, 1.0, log=True).draw(rng) for _ in range(4000)])
    assert np.mean(rates < 1e-2) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4000))
    ones = np.mean([whole("n", 1, 8, log=True).draw(rng) == 1 for _ in range(4000)])
    expected = math.log(1.5 / 0.5) / math.log(8.5 / 0.5)
    assert ones == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(4000))


@pytest.mark.parametrize(
    ("name", "hp"),
    [
        ("branin", {"x": math.pi, "y": 2.275}),
        ("branin", {"x": -math.pi, "y": 12.275}),
        ("hartmann3", dict(zip(["x0", "x1", "x2"], [0.114614, 0.555649, 0.852547], strict=True))),
        (
            "hartmann6",
            {f"x{k}": x for k, x in enumerate([0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573])},
        ),
        ("levy8", {f"x{k}": 1.0 for k in range(8)}),
        ("rosenbrock6", {f"x{k}": 1.0 for k in range(6)}),
        (
            "ackley_mixed",
            {"x0": 0.7, "x1": -1.2, "x2": 1.6, "x3": -0.4, "i0": 0, "i1": 0, "i2": 0, "o": 0, "c0": "a", "c1": "a"},
        ),
        ("styblinski_log5", {f"x{k}": 10**-2.903534 for k in range(4)} | {"i": 1000}),
        ("branches", {"kind": "valley", "scale": 10**1.3, "u": 0.83, "v": 0.6889}),
    ],
)
def test_a_formula_reaches_its_best_value_at_the_published_optimum(name, hp) -> None:
    """To 1e-5, as the optima are published with six digits and the functions are flat there."""
    task = make_task(name)
    assert task.evaluate(hp) == pytest.approx(task.best, abs=1e-5)
    assert task.regret(task.evaluate(hp)) == pytest.approx(0.0, abs=1e-5)


def test_the_optimum_of_the_first_bbob_function_is_the_documented_one() -> None:
    """79.48 for the sphere's first instance; the last of these is cut at 1,000."""
    assert [coco.optimum(1, 1), coco.optimum(2, 2), coco.optimum(15, 1)] == [79.48, -92.09, 1000.0]


@pytest.mark.parametrize("name", [name for name in SPLIT if name not in SLOW])
def test_no_random_configuration_of_a_task_is_better_than_its_best(name) -> None:
    """Each task can be made, evaluates what its space draws, and is consistent with its reference values."""
    if name.startswith("bbob"):
        pytest.importorskip("cocoex")
    task = make_task(name)
    assert task.name == name
    rng = np.random.default_rng(0)
    n = 3 if task.family == "training" else 200
    values = np.array([task.evaluate(task.space.sample(rng)) for _ in range(n)])
    assert np.isfinite(values).all()
    assert values.max() <= task.best
    # The share below the median is binomial: 0.5 +- 4.5 standard deviations, for the reference has an error of its own.
    assert np.mean(values <= task.median) == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(n))
    assert task.regret(task.best) == 0.0
    assert task.regret(task.median) == pytest.approx(1.0)


def test_the_splits_share_no_task_and_no_function() -> None:
    """Every name is in one split, and no function of BBOB in both."""
    assert set(names_of("dev")) | set(names_of("report")) == set(names_of("all")) == set(SPLIT) - SLOW
    dev, report = ({n.split("_d")[0] for n in names_of(split) if n.startswith("bbob")} for split in ("dev", "report"))
    assert len(dev) > 9
    assert dev & report == set()
    with pytest.raises(ValueError, match="known are"):
        names_of("branin,nonsense")


def test_a_table_gives_means_and_the_repeats_there_are() -> None:
    """Two axes, three repeats, one of them missing."""
    values = np.array([[[1.0, 2.0, 6.0], [4.0, np.nan, 5.0]], [[0.0, 0.0, 0.0], [7.0, 7.0, 7.0]]])
    task = table("t", [choice("c", ["u", "v"]), ordinal("o", [1, 10])], values)
    assert task.evaluate({"c": "u", "o": 1}) == 3.0
    assert task.repeats({"c": "u", "o": 10}) == (4.0, 5.0)
    assert (task.best, task.median) == (7.0, 3.75)  # the middle of 0, 3, 4.5 and 7


def test_regret_is_clipped_and_knows_a_better_value() -> None:
    """0 at the best, 1 at the median, 2 at most; a better best value moves all."""
    assert [LINE.regret(v) for v in (1.0, 0.5, 0.75, -9.0)] == [0.0, 1.0, 0.5, 2.0]
    assert LINE.regret(1.0, best=1.5) == 0.5
    assert LINE.regret(1.0, best=0.2) == 0.0


def test_the_layers_of_a_surrogate_are_those_of_onnx() -> None:
    """Against each operation's definition, written out."""
    x, weight, bias = np.arange(6.0).reshape(2, 3), np.array([[1.0, 0, 2]]), np.array([5.0])
    run = yahpo.OPERATIONS
    assert run["Gemm"](x, weight, bias, alpha=1.0, beta=1.0, transB=1).tolist() == [[9.0], [18.0]]
    normal = run["BatchNormalization"](x, *map(np.array, (2.0, 1.0, 3.0, 4.0)), epsilon=0.0, momentum=0.9)
    assert np.allclose(normal, (x - 3) / 2 * 2 + 1)
    assert run["Slice"](x, *map(np.array, ([1], [2], [1]))).tolist() == [[1.0], [4.0]]
    assert run["Div"](np.array(7), np.array(2)) == 3
    assert run["Div"](np.array(7.0), np.array(2)) == 3.5
    with pytest.raises(ValueError, match="Gemm"):
        run["Gemm"](x, weight, bias, alpha=2.0, beta=1.0, transB=1)


def test_a_race_reports_the_best_so_far_at_each_checkpoint() -> None:
    """With one in flight results come in the order asked."""
    values = np.random.default_rng(0).random(100)
    optimizer = Scripted(values)
    run = race(optimizer, LINE, seed=0, budget=100, in_flight=1)
    assert run.values == tuple(values[:n].max() for n in CHECKPOINTS)
    assert [token for token, _ in optimizer.told] == values.tolist()
    assert optimizer.most_open == 1
    assert race(Scripted(values), LINE, 0, 50, 1).values == run.values[:2]


def test_a_race_keeps_as_many_asks_open_as_it_should() -> None:
    """Four are open until the last ones are asked, and end in another order than asked; nothing is lost."""
    optimizer = Scripted(np.arange(100) / 100)
    race(optimizer, LINE, seed=0, budget=100, in_flight=4)
    told = [token for token, _ in optimizer.told]
    assert optimizer.most_open == 4
    assert optimizer.n_open == 0
    assert sorted(told) == (np.arange(100) / 100).tolist() != told


def test_a_race_goes_on_to_the_budget_when_an_optimizer_has_tried_everything() -> None:
    """What it had found stands at the later checkpoints."""
    run = race(Scripted([0.1, 0.7, 0.3]), LINE, seed=0, budget=100, in_flight=4)
    assert run.values == (0.7, 0.7, 0.7)
    assert run.evaluations == 100


def test_noise_is_told_and_the_incumbents_mean_counts() -> None:
    """Told is one repeat, the same for the same seed and number; the value is the mean where the optimizer points."""
    repeats = lambda hp: (hp["x"], hp["x"] + 10)
    task = Task("n", "noisy table", LINE.space, LINE.evaluate, 1.0, 0.5, repeats=repeats)
    values = [0.5, 0.9, 0.2] * 9
    first, second = Scripted(values), Scripted(values)
    silent = race(first, task, 3, 25, 1)
    race(second, task, 3, 25, 1)
    assert first.told == second.told
    noise = np.array([told - token for token, told in first.told])
    assert set(noise.round(9)) == {0.0, 10.0}
    best_told = max(first.told, key=lambda pair: pair[1])[0]
    assert silent.values == (best_told,)
    assert race(Scripted(values, named={"x": 0.33}), task, 3, 25, 1).values == (0.33,)


def test_the_clock_counts_asks_and_tells_alone() -> None:
    """An objective that burns CPU time adds nothing."""

    def burn(_):
        return float(np.linalg.norm(np.random.default_rng(0).random(2_000_000)))

    slow = Task("slow", "formula", LINE.space, burn, 1e9, 0.0)
    assert race(Scripted(np.zeros(25)), slow, 0, 25, 1).cpu_seconds < 0.05  # the objective takes 10 ms a call


def run_of(task, seed=0, values=(0.1, 0.2, 0.3), in_flight=1):
    """A run with 100 evaluations, or up to the checkpoint of the last value."""
    return Run(task, seed, in_flight, CHECKPOINTS[len(values) - 1], tuple(values), 1.5, "v 1")


def test_results_come_back_as_they_were_written(tmp_path) -> None:
    """Rows are appended; the longer run of a key wins, and of equals the later; forgotten ones are gone."""
    file = ResultFile(tmp_path / "sub" / "some.csv")
    assert file.read() == {}
    runs = [run_of("a"), run_of("a", seed=1, values=(1 / 3,)), run_of("b", in_flight=4)]
    for run in runs:
        file.append(run)
    found = file.read()
    assert found["a", 0, 1] == runs[0]
    assert found["a", 1, 1].values == (pytest.approx(1 / 3, rel=1e-8),)  # nine digits are written
    assert set(found) == {("a", 0, 1), ("a", 1, 1), ("b", 0, 4)}
    file.append(run_of("a", values=(9.0,)))
    file.append(run_of("b", in_flight=4, values=(0.5, 0.6, 0.7)))
    assert file.read()["a", 0, 1] == runs[0]
    assert file.read()["b", 0, 4].values == (0.5, 0.6, 0.7)
    file.forget([("a", 0, 1)])
    assert set(file.read()) == {("a", 1, 1), ("b", 0, 4)}


def test_a_file_with_other_columns_is_refused(tmp_path) -> None:
    """Rather than read as something else."""
    path = tmp_path / "x.csv"
    path.write_text("task,seed\na,0\n")
    with pytest.raises(ValueError, match="columns must be task,seed,in_flight"):
        ResultFile(path).read()


def test_regrets_are_of_shared_runs_and_of_the_best_value_in_hand() -> None:
    """A run that one optimizer lacks is left out, and a value better than the reference takes its place."""
    unsure = Task("open", "training", LINE.space, LINE.evaluate, best=1.0, median=0.0, is_exact=False)
    runs = {
        "one": [run_of("line", 0, (0.5, 0.75, 1.0)), run_of("open", 0, (0.0, 0.5, 2.0)), run_of("line", 1)],
        "two": [run_of("line", 0, (0.5, 0.5, 0.5)), run_of("open", 0, (1.0, 1.0, 1.0))],
    }
    keyed = {name: {(r.task, r.seed, r.in_flight): r for r in some} for name, some in runs.items()}
    found = regrets_of(keyed, {"line": LINE, "open": unsure})
    assert found.tasks.tolist() == ["line", "open"]
    assert found.values[0].tolist() == [[1.0, 0.5, 0.0], [1.0, 0.75, 0.0]]
    assert found.values[1].tolist() == [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]
    assert found.of(["line", "open"])[0].tolist() == [1.0, 0.625, 0.0]
    assert found.ranks[:, 0].tolist() == [[1.5, 1.0, 1.0], [1.5, 2.0, 2.0]]


def test_ranks_are_those_of_scipy() -> None:
    """With ties, on random regrets of one decimal."""
    scipy_stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(0).random((5, 40, 3)).round(1)
    regrets = Regrets(tuple("abcde"), np.array(["t"] * 40), values, np.zeros((5, 40)))
    assert np.array_equal(regrets.ranks, scipy_stats.rankdata(values, axis=0))


def test_intervals_are_as_wide_as_the_error_of_the_mean() -> None:
    """Two tasks of 50 runs: the normal interval of a mean of task means, to 10 % (2,000 draws give 3 %)."""
    rng = np.random.default_rng(0)
    tasks = np.repeat(["a", "b"], 50)
    values = rng.normal(0, 1, (1, 100, 1)) + np.where(tasks == "a", 0.0, 30.0)[None, :, None]
    low, high = interval(values, tasks, rng)
    error = math.sqrt(sum(values[0, tasks == t, 0].var() / 50 for t in ("a", "b"))) / 2
    assert high[0, 0] - low[0, 0] == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert low[0, 0] < values.mean() < high[0, 0]


def test_the_report_has_a_section_for_each_split_and_for_those_run_in_part(capsys) -> None:
    """The best is named first, and an optimizer with fewer runs is compared on its runs alone."""
    names = ["branin", "hartmann6", "levy8"]
    tops = zip(names, (-1, 1, -9), strict=True)
    whole = {name: [run_of(name, seed, (-5.0, -3.0, top)) for seed in (0, 1)] for name, top in tops}
    good = {(r.task, r.seed, 1): r for some in whole.values() for r in some}
    poor = {key: run_of(r.task, r.seed, (-5.0, -4.0, -4.0)) for key, r in good.items()}
    part = {("branin", 0, 1): run_of("branin", 0, (-1.0, -1.0, -0.5))}
    print_report({"poor": poor, "good": good, "part": part}, Shown(",".join(names), 5, 1, "poor"))
    text = capsys.readouterr().out
    assert "Split dev, 1 in flight: 2 tasks, 4 runs each" in text
    assert "Split report, 1 in flight: 1 tasks, 2 runs each" in text
    assert text.index("| good |") < text.index("| poor |")
    assert "On the 1 runs of part (1 tasks)" in text
    assert "Regret minus that of poor" in text
    assert "- good: v 1\n" in text
    with pytest.raises(ValueError, match="--against"):
        print_report({"good": good}, Shown("all", 5, 1, "nobody"))


def test_the_report_says_what_open_asks_cost(capsys) -> None:
    """Regret 0.5 with one open and 0.75 with four is half as much again; a run without its like is left out."""
    runs = [run_of("levy8", 0, (-90.0, -90.0, top), in_flight) for top, in_flight in ((-45.0, 1), (-67.5, 4))]
    runs.append(run_of("levy8", 1, (0.0, 0.0, 0.0), 4))
    median = make_task("levy8").median
    scaled = [replace(run, values=tuple(v * -median / 90 for v in run.values)) for run in runs]
    print_report({"some": {(r.task, r.seed, r.in_flight): r for r in scaled}}, Shown("levy8", 5, 4, None))
    assert "| some | 1 | 0.500 | 0.750 | +50% |" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tpe", "random", *RIVALS])
@pytest.mark.parametrize("in_flight", [1, 4])
def test_an_adapter_asks_for_legal_configurations(name, in_flight) -> None:
    """Of active parameters only, in a space with every kind, with one and with four open; and it is told all."""
    if in_flight > 1 and name == "skopt-gp":
        pytest.skip("sequential only")
    try:
        optimizer = make_optimizer(name, Setting(CONDITIONAL, 0, 25, in_flight, {}))
    except ImportError as error:
        pytest.skip(str(error))
    n_complaints = []

    def value(hp):
        n_complaints.extend(complaints(CONDITIONAL, hp))
        return hp["x"] - abs(math.log10(hp["rate"])) + (hp["kind"] == "b")

    task = Task("all kinds", "formula", CONDITIONAL, value, 4.0, 0.0)
    run = race(optimizer, task, 0, 25, in_flight)
    assert n_complaints == []
    assert run.values[0] > -3
    named = optimizer.best()
    assert named is None or complaints(CONDITIONAL, named) == []


def test_the_command_runs_what_is_missing_and_no_more(tmp_path, capsys) -> None:
    """A second call adds nothing, a further seed one row, and --again makes rows anew."""
    given = ["run", "--optimizer", "random", "--tasks", "branin,hartmann3", "--budget", "25"]
    given += ["--results", str(tmp_path)]
    assert regret.main([*given, "--seeds", "1"]) == 0
    path = tmp_path / "random.csv"
    first = path.read_text()
    assert len(first.splitlines()) == 3
    assert regret.main([*given, "--seeds", "1"]) == 0
    assert path.read_text() == first
    assert regret.main([*given, "--seeds", "2"]) == 0
    assert len(path.read_text().splitlines()) == 5
    before = ResultFile(path).read()
    ResultFile(path).append(replace(before["branin", 0, 1], values=(-77.0,)))
    assert ResultFile(path).read()["branin", 0, 1].values == (-77.0,)
    assert regret.main([*given, "--seeds", "1", "--again"]) == 0
    after = ResultFile(path).read()
    assert {key: run.values for key, run in after.items()} == {key: run.values for key, run in before.items()}
    assert "regret" in capsys.readouterr().out


def test_options_want_a_label(tmp_path, capsys) -> None:
    """Or results of other settings would be taken for the defaults'."""
    with pytest.raises(SystemExit):
        regret.main(["run", "--optimizer", "tpe", "--option", "gamma=0.1", "--results", str(tmp_path)])
    assert "--label" in capsys.readouterr().err


def test_a_rival_needs_neither_autohpo_nor_scipy() -> None:
    """The parts load numpy alone, so that a rival runs in an environment of its own."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import regret, suite.report, suite.refer;"
        "print(sorted({'autohpo', 'scipy', 'sklearn', 'hyperopt', 'cocoex'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(BENCHMARKS)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
