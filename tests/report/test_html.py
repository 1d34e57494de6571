"""Tests of the page: well-formed, closed to the outside, true to the result, whatever the result holds."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, SpaceError, StoreError, build_hpo_from_name
from autohpo.report import render_html, write_html, write_html_from_store
from autohpo.report.origin import command, machine, origin_of
from autohpo.result import Result
from autohpo.store import SQLiteStore
from autohpo.trial import Outcome, Trial, TrialState

EVIL = "<script>alert(\"1\")</script><img src=x onerror='f()'>&amp; ☃"
VOID = {"meta", "path"}


class Page(HTMLParser):
    """What a page holds: elements in order, texts by element, tables as rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.feed(page)
        self.close()
        assert self.open == [], "elements without an end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID, f"<{tag}/> is not ended in HTML"
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of each element of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, head: str) -> list[list[str]]:
        """Rows below the head of the table whose first columns is called so."""
        return next(rows[1:] for rows in self.tables if rows[0][0] == head)


def trial(number: int, perf: float | None, hp: dict | None = None, **fields) -> Trial:
    """A complete trial, or a failed one where it has no performance."""
    state = fields.pop("state", TrialState.FAILED if perf is None else TrialState.COMPLETE)
    outcome = Outcome(state, () if perf is None else (perf,), error=fields.pop("error", ""))
    return Trial(number, {"x": float(number)} if hp is None else hp, outcome, **fields)


def many(n: int, n_parameters: int = 8, n_reports: int = 81) -> Result:
    """A run of n trials with long curves; one in fifty fails with a long traceback of its own."""
    rng = random.Random(0)
    names = [f"parameter {k}" for k in range(n_parameters)]
    return Result(
        [
            trial(
                number,
                None if number % 50 == 49 else rng.random(),
                {name: rng.random() for name in names},
                fidelity=81.0,
                reports=tuple((float(e), rng.random()) for e in range(1, n_reports + 1)),
                error="" if number % 50 != 49 else "line\n" * 2_000 + f"error {number}",
            )
            for number in range(n)
        ],
        algorithm="random",
    )


ODD = {
    "no trials": Result([]),
    "only running": Result([trial(0, None, state=TrialState.RUNNING)]),
    "all failed": Result([trial(k, None, error="Boom\nlast") for k in range(3)]),
    "all failed without a word": Result([trial(k, None) for k in range(3)]),
    "a single trial": Result([trial(0, 0.5)], "min", "random"),
    "no parameters": Result([trial(k, 0.5, {}) for k in range(3)]),
    "equal values": Result([trial(k, 0.25) for k in range(9)]),
    "huge values": Result([trial(k, v, {"x": v}) for k, v in enumerate([1.7e308, -1.7e308, 5e-324, 0.0])]),
    "huge positive values": Result([trial(k, v, {"x": v}) for k, v in enumerate([1e300, 5e-324, 1e-300])]),
    "a huge whole number": Result([trial(k, 0.5, {"x": 10**400 * k}) for k in range(3)]),
    "values that are all but equal": Result([trial(k, 1 + k * 2**-52, {"x": 1e16 + 2 * k}) for k in range(3)]),
    "one far outlier": Result([trial(k, float(k) if k else 1e12) for k in range(9)], "min"),
    "odd choices": Result(
        [trial(k, k / 9, {"x": v}) for k, v in enumerate([None, (1, 2), True, 1, "1", [3], float("nan"), EVIL])]
    ),
    "other parameters in each": Result([trial(k, k / 9, {f"p{k % 3}": k}) for k in range(9)]),
    "mixed fidelities": Result([trial(k, k / 9, fidelity=f) for k, f in enumerate([3.0, None, 0.0, 1e300])]),
    "fidelity zero": Result([trial(k, k / 9, fidelity=0.0) for k in range(3)]),
    "unicode": Result([trial(0, 0.5, {"größe ☃": "\ud800 half"}), trial(1, 0.6, {"größe ☃": "日本語"})]),
    "more than 1,000 trials": many(1_200, n_parameters=3, n_reports=3),
}


@pytest.mark.parametrize("result", ODD.values(), ids=ODD.keys())
def test_every_result_gives_a_page_that_is_well_formed(result: Result) -> None:
    """Balanced elements, unique ids, a number wherever the drawing needs one."""
    text = render_html(result)
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in page.of("svg"):
        assert set((svg["aria-labelledby"] or "").split()) <= set(ids)
    for path in page.of("path"):
        assert re.fullmatch(r"(?:[MLHVhvlm]|-?\d+(?:\.\d)?| )+", path["d"] or ""), path
    assert "nan" not in re.sub(r"<t[dh].*?</t[dh]>|<figcaption>.*?</figcaption>", "", text)


@pytest.mark.parametrize("result", [ODD["a single trial"], ODD["odd choices"], many(60)])
def test_marks_lie_inside_their_drawing(result: Result) -> None:
    """Absolute coordinates of every path are within the view box."""
    page = Page(render_html(result))
    size = (0.0, 0.0)
    for name, attributes in page.elements:
        if name == "svg":
            _, _, width, height = map(float, (attributes["viewbox"] or "").split())
            size = (width, height)
        elif name == "path":
            d = attributes["d"] or ""
            for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d):
                assert 0 <= float(x) <= size[0]
                assert 0 <= float(y) <= size[1]


def test_user_text_is_shown_as_text() -> None:
    """Markup in a title, note, name, value, algorithm or error stays text, and is all there."""
    hp = {EVIL: EVIL, "other": 1}
    trials = [trial(0, 0.5, hp), trial(1, 0.6, {**hp, EVIL: 2}), trial(2, None, hp, error=f"one\n{EVIL}")]
    page = Page(render_html(Result(trials, algorithm=EVIL), title=EVIL, notes=[(EVIL, EVIL)]))
    assert {name for name, _ in page.elements}.isdisjoint({"script", "img"})
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert {"title", "h1", "strong", "th", "td", "h3", "summary", "pre"} <= {
        element for element, text in page.texts if EVIL in text
    }


def test_page_refers_to_nothing_outside() -> None:
    """No element that loads something, no address at all, and a policy that would forbid it."""
    text = render_html(many(40), notes=[("a", "b")])
    page = Page(text)
    assert {name for name, _ in page.elements} <= {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "main",
            "header",
            "h1",
            "h2",
            "h3",
            "p",
            "strong",
        ),
        *("dl", "div", "dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "pre"),
        *("figure", "figcaption", "details", "summary", "svg", "path", "text", "desc"),
    }
    assert not re.search(r"url\(|@import|//|href|src=|javascript:", text)
    policy = next(m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.split("; ")[:2] == ["default-src 'none'", "style-src 'unsafe-inline'"]


def test_drawings_and_tables_can_be_read_without_eyes() -> None:
    """Each drawing has a role, a title and a description; each table a caption; each heading cell a scope."""
    page = Page(render_html(many(60)))
    n = len(page.of("svg"))
    assert n == 2 + 8
    assert all(svg["role"] == "img" for svg in page.of("svg"))
    assert len(page.of("desc")) == n
    assert len([1 for name, attributes in page.elements if name == "title" and "id" in attributes]) == n
    assert len(page.of("caption")) == len(page.of("table")) == 3
    assert all(th["scope"] in ("row", "col") for th in page.of("th"))


def test_headline_and_tables_tell_the_result() -> None:
    """Best, counts, training, time, configuration and ranking are those worked out by hand."""
    trials = [
        trial(0, 0.5, {"x": 0.1, "c": None}, fidelity=1.0, started=100.0, ended=102.0),
        trial(1, 0.4, {"x": 0.2, "c": (1, 2)}, fidelity=1.0, started=102.0, ended=103.0),
        trial(2, 0.45, {"x": 0.1, "c": None}, fidelity=3.0, resume=0, started=103.0, ended=106.5),
        trial(3, None, {"x": 0.3, "c": "<b>"}, fidelity=1.0, started=106.5, ended=160.0, error="T\nBoom"),
        trial(4, None, {"x": 0.4, "c": "<b>"}, fidelity=1.0, started=150.0, ended=165.0, error="U\nBoom"),
        trial(5, None, {}, state=TrialState.RUNNING, started=150.0),
    ]
    page = Page(render_html(Result(trials, "max", "bohb")))
    facts = [text for element, text in page.texts if element in ("dt", "dd")]
    assert facts == [
        *("best perf, trial 2, fidelity 3", "0.45"),  # 0.5 is better, but after less training
        *("1 running, 3 complete, 2 failed", "6 trials"),
        *("training spent, in units of fidelity", "4"),  # 1 + 1 + (3 - 1)
        *("from 1970-01-01 00:01 UTC", "1 min 05 s"),
    ]
    assert page.table("parameter") == [["x", "0.1"], ["c", "None"]]
    assert page.table("trial") == [
        ["2", "0.45", "3", "5.5 s", "0.1", "None"],  # 3.5 s after the 2 s of trial 0
        ["1", "0.4", "1", "1 s", "0.2", "(1, 2)"],
    ]
    assert page.table("state") == [["FAILED", "BoomT\nBoom", "2", "3, 4"]]


def test_frequent_errors_come_first() -> None:
    """One row for each last line and state, by count, then by number; a single line does not fold."""
    errors = ["a\nrare", "b\noften", "c\noften", "once"]
    trials = [trial(k, None, error=error) for k, error in enumerate(errors)]
    trials.append(trial(4, None, state=TrialState.CRASHED, error="d\noften"))
    rows = Page(render_html(Result(trials))).table("state")
    assert [(state, n, numbers) for state, _, n, numbers in rows] == [
        ("FAILED", "2", "1, 2"),
        ("FAILED", "1", "0"),
        ("FAILED", "1", "3"),
        ("CRASHED", "1", "4"),
    ]
    assert [error for _, error, _, _ in rows] == ["oftenb\noften", "rarea\nrare", "once", "oftend\noften"]


def test_ten_best_trials_are_listed_best_first() -> None:
    """The ranking of a minimised run is that of a plain sort."""
    perfs = [float(k * 7 % 23) for k in range(23)]
    page = Page(render_html(Result([trial(k, perf) for k, perf in enumerate(perfs)], "min")))
    assert [float(row[1]) for row in page.table("trial")] == sorted(perfs)[:10]
    assert [int(row[0]) for row in page.table("trial")] == [perfs.index(p) for p in sorted(perfs)[:10]]


@pytest.mark.parametrize(
    ("result", "limit"), [(many(500), 300_000), (many(500, n_parameters=40), 300_000), (many(3_000), 400_000)]
)
def test_page_stays_small(result: Result, limit: int) -> None:
    """300 KB at 500 trials with 81 reports each, also with many parameters; little more at 3,000."""
    assert len(render_html(result).encode()) <= limit


def test_equal_results_give_equal_files(tmp_path: Path) -> None:
    """Nothing but the arguments gets into the file, and its path is returned."""
    first = write_html(many(60), tmp_path / "a.html", title="t", notes=[("a", "b")])
    second = write_html(many(60), str(tmp_path / "b.html"), title="t", notes=[("a", "b")])
    assert first == tmp_path / "a.html"
    assert first.read_bytes() == second.read_bytes()


def test_memory_addresses_do_not_get_into_the_page() -> None:
    """A choice that is an object is shown without the address that changes from run to run."""
    assert "0x" not in render_html(Result([trial(k, k / 2, {"x": object()}) for k in range(2)]))


def test_half_a_character_is_written_readably(tmp_path: Path) -> None:
    """Text that has no UTF-8 form does not stop the report."""
    path = write_html(Result([trial(0, 0.5)]), tmp_path / "a.html", title="half \ud800")
    assert "half \\ud800" in path.read_text(encoding="utf-8")


def search(store: Path) -> tuple[Result, list]:
    """A short real search with failures, kept in a store; its result and its space."""

    def f(hps: dict) -> float:
        if hps["x"] > 0.5:
            raise ValueError(EVIL)
        return -(hps["x"] ** 2) + (hps["c"] is None)

    space = [RangeHP("x", 0.0, 1.0), LogRangeHP("n", 1, 1000), ChoiceHP("c", [None, (1, 2), "<b>"])]
    hpo = build_hpo_from_name("random", space, f, max_evals=12, seed=1)
    hpo.optimize(store=store, progress="none", continue_on_error=True)
    assert hpo.result is not None
    return hpo.result, space


def test_page_of_a_store_is_that_of_its_result(tmp_path: Path) -> None:
    """A finished search gives the same bytes from its result in memory and from its log."""
    result, space = search(tmp_path / "run.db")
    assert {"COMPLETE", "FAILED"} <= set(result.counts())
    notes = [("a", "b")]
    header = SQLiteStore(tmp_path / "run.db", read_only=True).header
    origin = origin_of(header)
    one = write_html(result, tmp_path / "a.html", title="t", notes=notes, space=space, origin=origin)
    two = write_html_from_store(tmp_path / "run.db", tmp_path / "b.html", title="t", notes=notes)
    assert one.read_bytes() == two.read_bytes()


def test_store_that_a_driver_holds_can_be_shown(tmp_path: Path) -> None:
    """A page is made while another has the run open, and leaves it as it is."""
    search(tmp_path / "run.db")
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    try:
        n = len(list(store.events()))
        write_html_from_store(tmp_path / "run.db", tmp_path / "a.html")
        assert len(list(store.events())) == n
    finally:
        store.close()


def test_store_with_objects_needs_the_space(tmp_path: Path) -> None:
    """Choices that JSON cannot carry are refused by name, and shown once the space is given."""
    space = [ChoiceHP("act", [len, max])]
    hpo = build_hpo_from_name("random", space, lambda hps: float(hps["act"] is len), max_evals=4, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress="none")
    with pytest.raises(SpaceError, match=r"builtins\.len"):
        write_html_from_store(tmp_path / "run.db", tmp_path / "a.html")
    path = write_html_from_store(tmp_path / "run.db", tmp_path / "a.html", space=space)
    assert "&lt;built-in function len&gt;" in path.read_text(encoding="utf-8")


def test_store_without_a_run_is_refused(tmp_path: Path) -> None:
    """Neither a missing store nor an empty one gives a page, and neither leaves a file."""
    with pytest.raises(StoreError, match="does not exist"):
        write_html_from_store(tmp_path / "none.db", tmp_path / "a.html")
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.close()
    with pytest.raises(StoreError, match="no run yet"):
        write_html_from_store(tmp_path / "run.db", tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_the_page_says_what_repeats_the_run(tmp_path: Path) -> None:
    """Algorithm, seed, options and release as the store has them; machine and command where they are given."""
    hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=3, seed=7, gamma=0.4)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    origin = [*machine(), *command()]
    path = write_html_from_store(tmp_path / "run.db", tmp_path / "a.html", origin=origin)
    rows = dict(row[:2] for row in Page(path.read_text()).table("what"))
    assert (rows["algorithm"], rows["seed"], rows["gamma"]) == ("tpe", "7", "0.4")
    assert {"autohpo", "Python", "platform", "host", "command"} <= set(rows)


def test_confirmed_configurations_have_a_chart_and_a_table() -> None:
    """The page names one best: the chosen one, with its mean and interval."""
    random_numbers = random.Random(0)

    def noisy(hps: dict[str, float]) -> float:
        return -((hps["x"] - 0.5) ** 2) + random_numbers.gauss(0, 0.01)

    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], noisy, max_evals=20, seed=0, points=[{"x": 0.9}])
    hpo.optimize(confirm=3, progress=False)
    page = Page(render_html(hpo.result))
    winner, *_ = hpo.result.confirmed
    rows = page.table("configuration")
    assert [row[0] for row in rows] == [f"trial {c.trial.number}" for c in hpo.result.confirmed[:3]] + [
        "trial 0, the default"
    ]
    assert rows[0][1:3] == [f"{winner.mean:.4g}", "{:.4g} to {:.4g}".format(*winner.interval)]
    headline = [text for name, text in page.texts if name in ("dt", "dd")]
    assert f"mean of trial {winner.trial.number} over 5 new seeds" in headline
    assert page.table("parameter")[0][1] == repr(winner.trial.hp["x"])
