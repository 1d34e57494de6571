"""Kinds of cases about runs: results, tells, options of algorithms and of optimize, plug-ins, commands, URLs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from unittest import mock

from fuzz_draws import Draws, as_dict, safe
from fuzz_mutations import mutated, mutated_text
from fuzz_spaces import GOOD
from fuzz_values import TEXTS, number, odd

from autohpo import (
    BaseHPOptimizer,
    RangeHP,
    Result,
    Search,
    SearchSpace,
    available_hpos,
    build_hpo_from_name,
    open_store,
)
from autohpo.algorithms import registry
from autohpo.algorithms.options import RunArguments, option_names
from autohpo.algorithms.registry import get_hpo, register_hpo
from autohpo.commands import CommandObjective
from autohpo.errors import AutoHPOError

SMALL = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 9)])
MODES: list[Any] = ["max", "min", {"a": "max", "b": "min"}]
PROCESSES = {"num_workers", "gpus", "memory_limit", "trial_time_limit", "executor", "ask_ahead"}
"""Arguments for which workers may be started: their fuzz is cheap only where they are refused."""
COMMANDS = [
    *(
        "echo loss={x}",
        "python t.py {--x} {--rate:n} {args}",
        "echo {json}",
        "{python} -c 'print(1)'",
        "a {config_file}",
    ),
    *("echo {{x}} {fidelity} {seed} {trial} {slot}", "t {--x=} {result_file}", "echo '{x}' \"{n}\"", "t {x:.3f} {n!r}"),
]


def objective(d: Draws, n_objectives: int) -> Any:
    """An objective of some shape whose results are odd."""
    values = [0.5, odd(d), number(d)]
    if n_objectives > 1:
        values += [{"a": number(d), "b": odd(d)}, {"a": 0.1, "b": 0.2}, [0.1, number(d)]]
    else:
        values += [
            {"perf": odd(d)},
            {"perf": 0.5, "cost": odd(d)},
            (0.5, odd(d)),
            {"perf": 0.5, odd_name(d): number(d)},
        ]
    picks = [d.of_all(values) for _ in range(4)]
    reports = [d.of_all(values) for _ in range(3)]
    state = {"n": 0}

    def result() -> Any:
        state["n"] += 1
        found = picks[state["n"] % len(picks)]
        if isinstance(found, type) and issubclass(found, Exception):
            raise found("planned")
        return found

    def plain(hps: Any) -> Any:
        return result()

    def reporting(hps: Any, trial: Any) -> Any:
        for value in reports:
            if not trial.report(value):
                break
        return result()

    def odd_reports(hps: Any, trial: Any) -> Any:
        trial.report(reports[0], reports[1])
        return result()

    def steps(hps: Any) -> Iterator[Any]:
        yield from reports
        return result()

    def ends(hps: Any) -> Any:
        raise SystemExit(3)

    def raises(hps: Any) -> Any:
        raise BadError

    return d.of_all([plain, reporting, odd_reports, steps, ends, raises])


class BadError(Exception):
    """An exception that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def odd_name(d: Draws) -> str:
    """A name of a metric."""
    return d.of_all(["a", "", "perf", "é", "\0", "x" * 300, "\ud800"])


def results(d: Draws, room: Path) -> None:
    """An objective that returns or reports what it should not."""
    mode = d.of_all(MODES)
    names = ["random", "tpe", "regularized_evolution", "motpe"] if isinstance(mode, dict) else ALGORITHMS
    name = d.of_all(names)
    more: dict[str, Any] = {"max_fidelity": 3} if "max_fidelity" in option_names(get_hpo(name)) else {}
    f = objective(d, len(mode) if isinstance(mode, dict) else 1)
    hpo = d.call("build", build_hpo_from_name, name, SMALL, f, seed=0, max_evals=5, mode=mode, **more)
    if hpo is None:
        return
    store = str(room / "run.db") if d.chance(30) else None
    d.said.append(f"objective {f.__name__}: {[safe_cell(c) for c in f.__closure__ or ()]}"[:1500])
    d.call("hpo.optimize", hpo.optimize, store=store, progress=False, continue_on_error=True)
    looked_at(d, hpo, store)


def safe_cell(cell: Any) -> str:
    """What a closure holds, in words."""
    return safe(cell.cell_contents)


def looked_at(d: Draws, hpo: Any, store: str | None) -> None:
    """Look at a result in every way; the best is finite."""
    result = getattr(hpo, "result", None)
    if result is None:
        return
    best = d.call("result.best", lambda: result.best)
    if best is not None and not all(map(math.isfinite, best.perfs)):
        raise RuntimeError(f"the best is {best.perfs}")
    d.call("result.top", result.top, 3)
    d.call("result.records", result.to_records)
    d.call("result.html", result._repr_html_)
    if store is not None and Path(store).exists():
        d.call("Result.load", Result.load, store)


def tells(d: Draws, room: Path) -> None:
    """Ask and tell with odd results, reports, numbers and names."""
    name = d.of_all(ALGORITHMS)
    more: dict[str, Any] = {"max_fidelity": 3} if "max_fidelity" in option_names(get_hpo(name)) else {}
    hpo = build_hpo_from_name(name, SMALL, seed=0, max_evals=6, **more)
    kept = str(room / "run.db") if d.chance(30) else None
    with Search(hpo, kept) as search:
        door = d.of_all([search, hpo])
        for _ in range(1 + d.index(4)):
            named = {"client_id": odd(d)} if d.chance(30) and door is search else {}
            suggestion = d.call("ask", door.ask, **({"pid": odd(d)} if d.chance(10) else {}), **named)
            target = suggestion if suggestion is not None and not d.chance(15) else odd(d)
            if suggestion is not None and d.chance(15):
                target = changed(d, suggestion)
            kind = d.index(4)
            if kind == 0:
                d.call("fail", door.fail, target, odd(d))
            elif kind == 1:
                d.call("report", door.report, target, number(d), odd(d))
            told = d.of_all([odd(d), 0.5, number(d)])
            options = {option: odd(d) for option in ("constraints", "cost", "metrics", "is_stopped") if d.chance(8)}
            if door is hpo:
                options = {key: value for key, value in options.items() if key in ("constraints", "cost")}
            batch = door is hpo and d.chance(15)
            if batch:
                d.call("tell", door.tell_batch if hasattr(door, "tell_batch") else door.tell, [(target, told)])
            else:
                d.call("tell", door.tell, target, told, **options)
        best = d.call("best", hpo.best)
        if best is not None and not math.isfinite(best[1]):
            raise RuntimeError(f"the best is {best}")


def changed(d: Draws, suggestion: Any) -> Any:
    """A suggestion of which something was changed."""
    copy = suggestion.copy()
    if d.chance(50):
        copy[d.of_all(["x", "y", "n"])] = odd(d)
    else:
        name = d.of_all(["number", "fidelity", "resume", "info", "pid"])
        setattr(copy, name, odd(d))
    return copy


def options(d: Draws, room: Path) -> None:
    """Options of every registered algorithm, with odd values; one ask, one tell."""
    name = d.of_all([name for name in available_hpos() if ":" not in name])
    known = sorted(option_names(get_hpo(name)))
    given = {d.of_all(known): number(d) if d.chance(50) else odd(d) for _ in range(1 + d.index(3))}
    if d.chance(5):
        given["no_such_option"] = odd(d)
    given.setdefault("seed", 0)
    called = odd(d) if d.chance(4) else name
    space = odd(d) if d.chance(4) else SMALL
    hpo = d.call("build_hpo_from_name", build_hpo_from_name, called, space, lambda hps: 0.5, **as_dict(given))
    if not isinstance(hpo, BaseHPOptimizer):
        return
    for _ in range(3):
        suggestion = d.call("hpo.ask", hpo.ask)
        if suggestion is None:
            break
        d.call("hpo.tell", hpo.tell, suggestion, [0.5] * hpo.objectives.n if hpo.objectives.n > 1 else 0.5)


def arguments(d: Draws, room: Path) -> None:
    """Arguments of optimize."""
    hpo = build_hpo_from_name(d.of_all(["random", "tpe", "bohb", "bayes"]), SMALL, lambda hps: 0.5, seed=0, max_evals=3)
    names = sorted(set(RunArguments.__annotations__) - PROCESSES) + ["schedule"]
    given = {d.of_all(names): odd(d) for _ in range(1 + d.index(2))}
    if d.chance(25):
        name = d.of_all(sorted(PROCESSES))
        given[name] = odd(d)
        if isinstance(given[name], int) or name == "executor" or (isinstance(given[name], str) and name != "gpus"):
            given[name] = d.of_all(["x", -1, 0, True, 2.5, "1Q", None, [], {}])  # those that work start processes
    if d.chance(3):
        given["no_such"] = 1
    if given.get("store") is not None and isinstance(given["store"], (str, bytes, Path)):
        given["store"] = str(room / "odd.db")
    given.setdefault("progress", False)
    d.call("hpo.optimize", hpo.optimize, **given)
    looked_at(d, hpo, None)


def warm(d: Draws, room: Path) -> None:
    """Warm starts from what is no store, and from tables of points."""
    source = d.of_all([odd(d), [odd(d)], {"x": 0.5, "perf": 1.0}, [({"x": 0.5, "n": 1}, 0.5)], str(room / "no.db")])
    hpo = build_hpo_from_name("random", SMALL, lambda hps: 0.5, seed=0, max_evals=3)
    d.call("hpo.optimize", hpo.optimize, warm_start=source, progress=False)
    table = [mutated(d, {"x": 0.5, "n": 1}), ({"x": 0.25, "n": 2}, number(d)), mutated(d, [{"x": 0.5, "n": 1}, 0.5])]
    more = d.call("build", build_hpo_from_name, "tpe", SMALL, points=d.some(table, 3), seed=0, max_evals=3)
    if more is not None:
        d.call("ask", more.ask)


class Hooks:
    """What a class of a plug-in may have in place of a hook."""

    VALUES: tuple[Any, ...] = (
        lambda self, pid: {"x": 0.5, "n": 1},
        lambda self: {"x": 0.5, "n": 1},
        lambda self, pid, more: {},
        lambda self, pid: None,
        lambda self, pid: {"x": 7.0},
        lambda self, pid: 1 / 0,
        lambda self, pid: self.rng,
        lambda self, pid: [1],
        lambda self, *rest: True,
        lambda *rest: 0.5,
        property(lambda self: 1 / 0),
        staticmethod(lambda: {"x": 0.5, "n": 1}),
        classmethod(lambda cls, pid: {"x": 0.5, "n": 1}),
        None,
        3,
        "text",
        object(),
    )


def plug_ins(d: Draws, room: Path) -> None:
    """Entry points with odd names and objects, and classes with odd hooks."""
    name = d.of_all(["odd_one", "Odd", "", "tpe", "a b", "x" * 300, "\0", "é", "random", "None", "1", odd(d)])
    attributes: dict[str, Any] = {"_get_suggestion": d.of_all(Hooks.VALUES)} if not d.chance(10) else {}
    hooks = [
        "_set_up",
        "_update_trials",
        "_best_hp",
        "_on_report",
        "supports",
        "is_multi_fidelity",
        "resumable",
    ]
    hooks += [
        "needs_reports",
        "default_evals",
        "linear_algebra",
        "says_improvement",
        "why",
        "training_plan",
        "_resume_with",
    ]
    for hook in d.some(hooks, 2):
        attributes[hook] = d.of_all(Hooks.VALUES) if d.chance(70) else odd(d)
    bases = d.of_all([(BaseHPOptimizer,), (object,), (get_hpo("random"),), (dict,)])
    made = type("Odd", bases, attributes)
    kind = d.index(3)
    if kind == 0:
        value = d.of_all(
            ["json:dumps", "json", "no.such:X", "os:environ", ":", "", "a b:c", "json:x.y", "math:nan", "x" * 500]
        )
        point = EntryPoint(name if isinstance(name, str) else "odd_one", value, registry.GROUP)
        used(d, name, [point])
    elif kind == 1:
        point = mock.Mock(spec=EntryPoint)
        point.name, point.value = name, "odd:Odd"
        point.load = mock.Mock(return_value=made if d.chance(80) else odd(d))
        used(d, name, [point])
    else:
        used(d, name, [], made)


def used(d: Draws, name: Any, found: list[Any], cls: type | None = None) -> None:
    """Register a class, or install it, and search with it."""
    before = dict(registry._REGISTERED)
    d.said.append(f"plug-in {safe(name)} {safe(found)} {safe(vars(cls)) if cls else ''}")
    try:
        with mock.patch("importlib.metadata.entry_points", return_value=found):
            if cls is not None:
                cls = d.call("register_hpo", lambda: register_hpo(name)(cls))
            d.call("available_hpos", available_hpos)
            hpo = d.call("build", build_hpo_from_name, name, SMALL, lambda hps: 0.5, max_evals=3, seed=0)
            if isinstance(hpo, BaseHPOptimizer):
                searched(d, hpo)
    finally:
        registry._REGISTERED.clear()
        registry._REGISTERED.update(before)


def searched(d: Draws, hpo: Any) -> None:
    """Search with somebody else's class: what its hooks raise comes out as it is, where no error of ours fits."""
    try:
        d.call("hpo.optimize", hpo.optimize, progress=False)
        d.call("hpo.best", hpo.best)
    except AutoHPOError:
        raise
    except Exception as error:
        frames = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
        is_theirs = (
            frames[-1].endswith(("fuzz_runs.py", "fuzz_values.py")) or "takes" in str(error) or "argument" in str(error)
        )
        if not is_theirs:
            raise


def commands(d: Draws, room: Path) -> None:
    """Templates of commands, patterns and metrics."""
    command = mutated_text(d, d.of_all(COMMANDS), COMMANDS)
    if d.chance(20):
        command = [mutated_text(d, word) for word in command.split()] if d.chance(50) else odd(d)
    given: dict[str, Any] = {"metric": "loss" if d.chance(70) else odd(d)}
    texts = ["loss=(.*)", "(", "(?P<loss>.*)", "loss", "(a)(b)", "", *TEXTS]
    for name in (
        "pattern",
        "fidelity_key",
        "fidelity_offset",
        "result_file",
        "stream",
        "shell",
        "env",
        "cwd",
        "output_dir",
    ):
        if d.chance(12):
            given[name] = d.of_all(texts) if name == "pattern" and d.chance(70) else odd(d)
    for name in ("grace_seconds", "full_fidelity", "uses_env"):
        if d.chance(8):
            given[name] = odd(d)
    f = d.call("CommandObjective", CommandObjective, command, **given)
    if f is not None:
        d.call("check", f.check, d.of_all([SMALL, GOOD]), None)


def urls(d: Draws, room: Path) -> None:
    """Names of stores that are none."""
    seeds = [
        "run.db",
        "sqlite:///run.db",
        "memory:",
        "postgresql://u:p@h:1/db/study",
        "file:run.db",
        "https://h/x?y=z#w",
        "C:\\x",
    ]
    text: Any = mutated_text(d, d.of_all(seeds), seeds)
    if d.chance(20):
        text = odd(d)
    if isinstance(text, (str, bytes)) and len(text) > 400:
        text = text[:400]
    if isinstance(text, str) and not text.startswith(("sqlite", "memory", "post", "file", "http")) and "\0" not in text:
        text = str(room) + "/" + text.replace("../", "")
    store = d.call("open_store", open_store, text, read_only=d.chance(50))
    if store is not None:
        d.call("header", lambda: store.header)
        store.close()


ALGORITHMS = ["random", "tpe", "bohb", "asha", "bayes", "regularized_evolution", "pbt", "cmaes", "quasi_random", "dehb"]
