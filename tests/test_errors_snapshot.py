"""The commonest errors, side by side in tests/errors.txt, as a user meets them.

Each line of that file is a call and the error that it really raises. Read them as somebody who sees one for the first
time: does it name the argument, the rule, the value and the remedy? After a change of an error write the file anew, and
read what changed in it before you commit:

    AUTOHPO_UPDATE_SNAPSHOT=1 python -m pytest -q tests/test_errors_snapshot.py
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = ROOT / "tests" / "errors.txt"
UPDATE = "AUTOHPO_UPDATE_SNAPSHOT"

CASES = {
    "Parameters": [
        'RangeHP("lr", 1, 0)',
        'RangeHP("lr", "0.1", 1)',
        'RangeHP("units", 0, 10, step=3)',
        'LogRangeHP("lr", 0, 1)',
        'ChoiceHP("opti", [])',
        'ChoiceHP("opti", "adam")',
        'ChoiceHP("opti", ["adam", "sgd", "adam"])',
        'ChoiceHP("opti", ["adam", "sgd"], children={"sdg": [RangeHP("momentum", 0.0, 1.0)]})',
        'RangeHP("x", 0.0, 1.0, prior=0.5)',
        'ChoiceHP("act", ["relu", "tanh"], prior=NormalPrior(0, 1))',
    ],
    "Search spaces": [
        'build_hpo_from_name("tpe").ask()',
        'build_hpo_from_name("quasi", SPACE)',
        'build_hpo_from_name("tpe", SPACE, f, n_trials=30)',
        'build_hpo_from_name("tpe", SPACE, f, num_workers=4)',
        'build_hpo_from_name("tpe", f, SPACE)',
        'SearchSpace({"x": (0.0, 1.0)})',
        'SearchSpace([("x", 0.0, 1.0)])',
        'SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("x", 1, 8)])',
        """SearchSpace(SPACE, conditions={"x": "optimizer == 'sgd'"})""",
        'SearchSpace(SPACE, constraints="x + y <= 1")',
        'SearchSpace(SPACE, constraints="x <")',
        'build_hpo_from_name("random", SearchSpace(SPACE, constraints="x > 1")).ask()',
    ],
    "Options of an algorithm": [
        'build_hpo_from_name("tep", SPACE)',
        'build_hpo_from_name("tpe", SPACE, max_eval=10)',
        'build_hpo_from_name("tpe", SPACE, max_evals="10")',
        'build_hpo_from_name("tpe", SPACE, max_evals=0)',
        'build_hpo_from_name("tpe", SPACE, seed=-1)',
        'build_hpo_from_name("tpe", SPACE, mode="minimize")',
        'build_hpo_from_name("bayes", SPACE, mode={"acc": "max", "latency": "min"})',
        'build_hpo_from_name("bohb", SPACE, min_fidelity=9, max_fidelity=3)',
        'build_hpo_from_name("hyperband", SPACE, eta=1)',
        'build_hpo_from_name("tpe", SPACE, points=[{"x": 2.0}])',
        'build_hpo_from_name("tpe", SPACE, points=[{"y": 0.5}])',
        'build_hpo_from_name("tpe", SPACE, points={"x": 0.5})',
    ],
    "Ask and tell": [
        "hpo = tpe(); hpo.best()",
        "hpo = tpe(); hpo.tell(hpo.ask(), None)",
        'hpo = tpe(); hpo.tell(hpo.ask(), float("nan"))',
        "hpo = tpe(); hpo.tell(hpo.ask(), (0.5, 0.25))",
        'hpo = tpe(); hpo.tell(hpo.ask(), {"acc": 0.5})',
        "hpo = tpe(); suggestion = hpo.ask(); hpo.tell(suggestion, 0.5); hpo.tell(suggestion, 0.5)",
        'hpo = tpe(); hpo.ask(); hpo.tell({"x": 0.5}, 0.5)',
        "hpo = tpe(); hpo.tell([(hpo.ask(), 0.5), (hpo.ask(), None)])",
        "hpo = tpe(); hpo.report(hpo.ask(), -1, 0.5)",
        "hpo = tpe(max_evals=1); hpo.ask(); hpo.ask()",
        'hpo = build_hpo_from_name("hyperband", SPACE, num_iterations=1); [hpo.ask() for _ in range(99)]',
    ],
    "The objective": [
        "tpe().optimize()",
        "tpe(3).optimize()",
        "tpe(lambda: 1).optimize()",
        "tpe(lambda hps, epochs: 1).optimize()",
        "tpe(lambda hps, dataset: 1).optimize()",
        'tpe(lambda hps: hps["y"]).optimize()',
        "tpe(lambda hps: None, max_evals=2).optimize()",
        "tpe(lambda hps: (0.5, 0.25), max_evals=2).optimize()",
        'tpe(lambda hps: "0.5", max_evals=2).optimize()',
        "tpe(lambda hps: lock.locked()).optimize(num_workers=2)",
        "tpe().optimize(object())",
    ],
    "Arguments of optimize": [
        "tpe(f).optimize(n_workers=2)",
        "tpe(f).optimize(max_evals=30)",
        "tpe(f).optimize(warm_start=3)",
        "tpe(f).result",
        "tpe(f).optimize(num_workers=0)",
        "tpe(f).optimize(time_limit=-1)",
        'tpe(f).optimize(memory_limit="4 gigs")',
        'tpe(f).optimize(progress="bar")',
        "tpe(f).optimize(patience=0)",
        'tpe(f).optimize(target="high")',
        "hpo = tpe(f); hpo.ask(); hpo.optimize()",
        'tpe(f).optimize(warm_start="missing.db")',
    ],
    "The store": [
        "tpe(f).optimize(store=3)",
        'tpe(f).optimize(store="missing/run.db")',
        'Path("folder.db").mkdir(); tpe(f).optimize(store="folder.db")',
        'Path("notes.txt").write_text("notes" * 99); tpe(f).optimize(store="notes.txt")',
        'tpe(f).optimize(store="run.db"); tpe(f, seed=1).optimize(store="run.db")',
        'tpe(f).optimize(store="run.db"); build_hpo_from_name("random", SPACE, f, seed=0).optimize(store="run.db")',
        'with held("run.db"): tpe(f).optimize(store="run.db")',
    ],
    "An algorithm of one's own": [
        'register_hpo("my_algorithm")(type("Mine", (BaseHPOptimizer,), {}))',
        'register_hpo("tpe")(own(None))',
        'register_hpo("My-Algorithm")(own(None))',
        "own(None)(SPACE).ask()",
        "own([0.5])(SPACE).ask()",
        'own({"x": 2.0})(SPACE).ask()',
        'own({"x": 0.5, "y": 1})(SPACE).ask()',
        'own(Suggestion({"x": 0.5}, fidelity=-1))(SPACE).ask()',
        'own(Suggestion({"x": 0.5}, resume=7))(SPACE).ask()',
        'own({"x": 0.7})(SearchSpace(SPACE, constraints="x > 0.5"))',
    ],
    "Results": [
        "hpo = tpe(f); hpo.optimize(); hpo.result.along('acc')",
        "hpo = tpe(f); hpo.optimize(); hpo.result.hypervolume([0, 0])",
    ],
}
"""Calls by subject; each is run as it stands, in an empty folder, with the names of :func:`_namespace`."""


def snapshot() -> str:
    """Return all calls with their errors, a line each."""
    parts = []
    for subject, calls in CASES.items():
        lines = [f"{call} -> {error_of(call)}" for call in calls]
        parts.append("\n".join([f"# {subject}", *lines]))
    return "\n\n".join(parts) + "\n"


def error_of(call: str) -> str:
    """Return type and message of the error that a call raises, on one line and equal on every machine."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            exec(call, _namespace())
        except Exception as error:
            return _plain(f"{type(error).__name__}: {error}", os.path.realpath(folder))
        finally:
            os.chdir(ROOT)  # Windows removes no folder that a process is in
    return "no error"


def _namespace() -> dict[str, Any]:
    """Return the names that calls use: what autohpo exports, a space, an objective, and shorthands."""
    import autohpo

    space = [autohpo.RangeHP("x", 0.0, 1.0)]

    def tpe(f: Any = None, **options: Any) -> Any:
        """Build TPE on a space of one parameter, with a budget of three trials."""
        return autohpo.build_hpo_from_name("tpe", space, f, **{"max_evals": 3, "seed": 0, **options})

    def own(suggestion: Any) -> type:
        """Make an algorithm that suggests the same thing again and again."""
        members = {"__module__": "my_package", "_get_suggestion": lambda self, pid: suggestion}
        return type("Mine", (autohpo.BaseHPOptimizer,), members)

    def f(hps: dict[str, Any]) -> float:
        """Return the parameter."""
        return float(hps["x"])

    exported = {name: getattr(autohpo, name) for name in autohpo.__all__}
    own_names = {"SPACE": space, "Path": Path, "f": f, "held": held, "lock": threading.Lock(), "own": own, "tpe": tpe}
    return exported | own_names


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """Let another process hold a store."""
    code = "import sys; from autohpo.store import *; s = SQLiteStore(sys.argv[1]); s.open(); print(flush=True); input()"
    command = [sys.executable, "-c", code, path]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has the store now
        yield
    finally:
        process.communicate("\n")


def _plain(text: str, folder: str) -> str:
    """Return a message without what differs between machines and moments, and with its lines joined."""
    text = text.replace(folder, "<tmp>")
    text = re.sub(r"Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*", "<traceback> ", text)
    text = re.sub(r"by process \d+ on \S+, since \S+ \S+;", "by process <pid> on <host>, since <time>;", text)
    text = re.sub(r'"since": "[^"]*"', '"since": "<time>"', text)
    text = re.sub(r"0x[0-9a-f]+", "0x<address>", text)
    text = re.sub(r"\. Did you mean '\w+'\?$", "", text)  # Python's own hint, from 3.13 on
    return " | ".join(line.strip() for line in text.strip().splitlines())


def test_the_commonest_errors_read_as_they_did() -> None:
    """Every call of CASES raises the error that stands beside it in errors.txt.

    In a process of its own, where nothing but the package has registered an algorithm. To write the file anew:
    ``AUTOHPO_UPDATE_SNAPSHOT=1 python -m pytest -q tests/test_errors_snapshot.py``
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, __file__]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(done.stdout, encoding="utf-8")
    assert done.stdout.splitlines() == SNAPSHOT.read_text(encoding="utf-8").splitlines()


def test_every_call_raises() -> None:
    """A call of the snapshot that raises nothing shows that a mistake of a user is accepted in silence."""
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.endswith("-> no error")] == []
    assert sum(" -> " in line for line in lines) == sum(map(len, CASES.values())) >= 40


if __name__ == "__main__":
    sys.stdout.write(snapshot())
