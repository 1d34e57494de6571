"""The language of the package: docstrings that stand alone, and words that were retired.

A docstring is read alone, in a tooltip or on a page of the reference. So its first sentence must name its subject, and
each entry of its ``Args:`` and ``Attributes:`` too. ``python tests/test_style.py`` lists the violations.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "autohpo"

"""Packages and files, relative to the package, that are clean; whoever cleans another one adds it here."""

PREPOSITION = re.compile(
    r"(above|after|against|among|around|as|at|before|behind|below|beneath|besides?|between|beyond|by|during|for|from|in"
    r"|inside|into|like|of|on|onto|outside|over|per|since|through|to|towards?|under|until|up|upon|via|with|within|without)"
    r"(?![\w-])"
)
QUANTITY = re.compile(r"(at most|at least|up to)\b")  # "At most `steps` values, evenly spaced" names its subject
PRONOUN = re.compile(
    r"(he|hers?|his|its?|mine|ours|she|that|theirs?|them|these|they|this|those|whatever|whichever|who|whoever|whom|whose)"
    r"(?![\w-])"
)
CONJUNCTION = re.compile(r"(and|but|else|or|so|then)(?![\w-])")
REFERENCE = re.compile(r"((the )?same (as|but|for|in|of|to|with)|(all|any|none|one|some) (that|which|who|whose))\b")

RETIRED = {
    "mend": "fix",
    "mends": "fixes",
    "mended": "fixed",
    "in force": "active",
    "stranger": "unknown parameter",
    "strangers": "unknown parameters",
    "novelty": "seen set",
    "forecaster": "surrogate",
    "forecasters": "surrogates",
    "steadiest": "the best by its posterior mean",
    "whole number": "integer",
    "whole numbers": "integers",
    "whereupon": "and then",
    "dear": "expensive",
    "dearer": "more expensive",
    "dearest": "most expensive",
}
"""Words of our own, and the field's words for the same."""

PROMISE = re.compile(r"\bpromises?\b", re.IGNORECASE)
PROMISE_MEANS_ACQUISITION = ("algorithms/", "schedulers/", "spaces/", "surrogates/")
"""Where a promise is the value of an acquisition function; elsewhere it is what the library promises its users."""

SECTION = re.compile(r"^(\w+):\s*$")
ENTRY = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?: +(.*)$")


@dataclass(frozen=True)
class Docstring:
    """A docstring and what it belongs to."""

    line: int
    name: str
    text: str
    is_public: bool


def violations(root: Path) -> list[str]:
    """Return a line for each fault of the docstrings and texts below `root`: file, line, subject, what is wrong."""
    found: list[str] = []
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = list(docstrings_of(tree, is_public=not is_private(path.relative_to(root))))
        for doc in docstrings:
            faults = [*first_sentence_faults(doc.text), *entry_faults(doc.text)] if doc.is_public else []
            found += [f"{where}:{doc.line} {doc.name}: {fault}" for fault in faults]
        found += [f"{where}:{line} {fault}" for line, fault in retired_words(tree, where)]
    return found


def is_private(path: Path) -> bool:
    """Whether some part of a module's path begins with an underscore; that of a package's own file does not count."""
    return any(part.startswith("_") for part in path.with_suffix("").parts if part != "__init__")


def docstrings_of(tree: ast.Module, *, is_public: bool) -> Iterator[Docstring]:
    """Yield the docstrings of a module, of its classes, functions and methods, and of documented attributes."""
    text = ast.get_docstring(tree)
    if text:
        yield Docstring(1, "module", text, is_public)
    yield from _members(tree, "", is_public)


def _members(node: ast.Module | ast.ClassDef, prefix: str, is_public: bool) -> Iterator[Docstring]:
    previous: ast.stmt | None = None
    for child in node.body:
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            name, seen = f"{prefix}{child.name}", is_public and not child.name.startswith("_")
            text = ast.get_docstring(child)
            if text:
                yield Docstring(child.lineno, name, text, seen)
            if isinstance(child, ast.ClassDef):
                yield from _members(child, f"{name}.", seen)
        elif _is_text(child) and isinstance(previous, (ast.Assign, ast.AnnAssign)):
            target = previous.target if isinstance(previous, ast.AnnAssign) else previous.targets[0]
            name = ast.unparse(target)
            text = inspect.cleandoc(ast.literal_eval(child.value))
            yield Docstring(child.lineno, f"{prefix}{name}", text, is_public and not name.startswith("_"))
        previous = child


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a string alone, as the docstring of an attribute is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def first_sentence_faults(text: str) -> list[str]:
    """Return what is wrong with the first sentence of a docstring."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return sentence_faults(paragraph)


def entry_faults(text: str) -> list[str]:
    """Return what is wrong with the entries of ``Args:`` and ``Attributes:``, each with the entry's name."""
    faults = []
    for name, said in entries_of(text):
        faults += [f"entry {name}: {fault}" for fault in sentence_faults(said)]
    return faults


def entries_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each entry of ``Args:`` and ``Attributes:``."""
    lines = text.split("\n")
    section, entry_indent, name, said = "", 0, "", ""
    for line in [*lines, "End:"]:
        bare, indent = line.strip(), len(line) - len(line.lstrip())
        entry = (
            ENTRY.match(bare) if section in ("Args", "Attributes") and indent in (entry_indent or indent, 0) else None
        )
        if name and (indent == 0 or entry):  # a blank line, a new section, or the next entry
            yield name, " ".join(said.split())
            name, said = "", ""
        if bare and indent == 0:
            section, entry_indent = bare.rstrip(":") if SECTION.match(bare) else "", 0
        elif entry:
            entry_indent, name, said = indent, entry[1], entry[2]
        elif name:
            said += f" {bare}"


def sentence_faults(text: str) -> list[str]:
    """Return what is wrong with the beginning of a text that is read alone."""
    sentence = re.split(r"(?<=[.;:])\s", text, maxsplit=1)[0]
    lower = sentence.lower()
    shown = f"{sentence[:60]!r}"
    if not lower:
        return ["is empty"]
    if re.fullmatch(r"[a-z]+\.?", lower):
        return [f"{shown} is one word, which names no subject"]
    if lower.startswith("passes "):
        return [f"{shown}: say what is raised, as in 'Raise ValueError unless ...'"]
    if REFERENCE.match(lower):
        return [f"{shown} refers to another text"]
    if PREPOSITION.match(lower) and not QUANTITY.match(lower):
        return [f"{shown} begins with a bare preposition"]
    if PRONOUN.match(lower):
        return [f"{shown} begins with a pronoun"]
    if CONJUNCTION.match(lower):
        return [f"{shown} begins with a conjunction"]
    return []


def retired_words(tree: ast.Module, where: str) -> Iterator[tuple[int, str]]:
    """Yield line and fault of each retired word in a string of a module: docstrings, errors, and what is logged."""
    pattern = re.compile(rf"\b({'|'.join(sorted(RETIRED, key=len, reverse=True))})\b", re.IGNORECASE)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        text = " ".join(node.value.split())
        for word in pattern.findall(text):
            yield node.lineno, f"{word!r} is a retired word: say {RETIRED[word.lower()]!r}"
        if where.startswith(PROMISE_MEANS_ACQUISITION):
            for word in PROMISE.findall(text):
                yield node.lineno, f"{word!r} is a retired word: say what the acquisition function is, or predicts"


# Tests.


def test_the_package_has_no_violation() -> None:
    """Docstrings and texts of all public modules stand alone and have no retired word."""
    assert violations(PACKAGE) == []


def planted(folder: Path, source: str, name: str = "module.py") -> list[str]:
    """Return the violations of a package that holds one module."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return violations(folder)


@pytest.mark.parametrize(
    "sentence",
    [
        "One.",
        "That of the entries.",
        "The same of configurations.",
        "Of the smallest sub-graph.",
        "By number, in the order asked.",
        "As in :class:`Executor`.",
        "From 1 on, for each of them.",
        "This is what is kept.",
        "It takes what there is.",
        "Its values, in order.",
        "Those of the entries that are kept.",
        "Whoever beats it stands before it.",
        "Passes a header that equals the one kept.",
        "In the order told, the best first.",
        "One that ends.",
        "And what is left.",
        "Where.",
    ],
)
def test_a_first_sentence_that_does_not_stand_alone_is_found(tmp_path: Path, sentence: str) -> None:
    """Each kind of beginning is one violation, in a module, a class, a method, a property and an attribute alike."""
    sources = [
        f'"""{sentence}"""\n',
        f'class Box:\n    """{sentence}"""\n',
        f'class Box:\n    """A box."""\n\n    def get(self):\n        """{sentence}"""\n',
        f'class Box:\n    """A box."""\n\n    @property\n    def size(self):\n        """{sentence}"""\n',
        f'LIMIT = 3\n"""{sentence}"""\n',
    ]
    for place, source in enumerate(sources):
        found = planted(tmp_path / str(place), source)
        assert len(found) == 1, (source, found)


@pytest.mark.parametrize(
    "sentence",
    [
        "Return the number of trials.",
        "The cost of a trial, in seconds.",
        "One of several values, in no order.",
        "At most `steps` values, evenly spaced.",
        "Up to n candidates.",
        "``(n, d)`` points in the unit cube.",
        ":meth:`to_records` as a data frame.",
        "Whether the algorithm ends by itself.",
        "Schedulers: who gets how much fidelity.",
        "Format a value.",
        "Iterate over the trials.",
    ],
)
def test_a_first_sentence_that_stands_alone_is_left_in_peace(tmp_path: Path, sentence: str) -> None:
    """A checker that finds fault with good sentences would be switched off."""
    assert planted(tmp_path, f'"""{sentence}"""\n') == []


def test_entries_that_do_not_stand_alone_are_found(tmp_path: Path) -> None:
    """A bare preposition in ``Args:`` or ``Attributes:`` is a violation; in other sections it is not looked for."""
    source = '''"""A module about boxes."""


class Box:
    """A box that holds a value.

    Attributes:
        number: Of the trial.
        attempt: From 1;
            0 before the first start.
        name: The name of the box: of the
            kind that users read.

    Raises:
        ValueError: In some cases.
    """

    def put(self, value, *, rng=None):
        """Put a value into the box.

        Args:
            value: By name.
            rng: A generator.
            **options: With a star.

        Example:
            key: Of an example.
        """
'''
    found = planted(tmp_path, source)
    assert [line.split("entry ")[1].split(":")[0] for line in found] == ["number", "attempt", "value", "**options"]


@pytest.mark.parametrize("word", sorted(RETIRED))
def test_a_retired_word_is_found(tmp_path: Path, word: str) -> None:
    """In a docstring and in an error, also where a line breaks inside it; as a part of another word it is not."""
    broken = word.replace(" ", "\n    ")
    assert len(planted(tmp_path / "a", f'"""A box is\n    {broken} here."""\n')) == 1
    raised = f'"""A module."""\n\n\ndef f(x):\n    text = f"x: {word.upper()}, got {{x}}"\n    raise ValueError(text)\n'
    assert len(planted(tmp_path / "b", raised)) == 1
    assert planted(tmp_path / "c", f'"""A box is x{word}x here."""\n') == []


def test_a_promise_is_found_where_it_is_an_acquisition_function(tmp_path: Path) -> None:
    """The library may promise its users something; a candidate has an expected improvement."""
    source = '"""A module that says what a point promises."""\n'
    assert len(planted(tmp_path / "a", source, "surrogates/box.py")) == 1
    assert planted(tmp_path / "b", source, "store/box.py") == []


def test_what_is_private_may_begin_as_it_likes(tmp_path: Path) -> None:
    """Private modules, classes, functions, and what lies inside them, are read beside their code."""
    inner = 'class _Box:\n    """Of a kind."""\n\n    def get(self):\n        """By number."""\n'
    assert planted(tmp_path / "a", inner) == []
    public = inner.replace("_Box", "Box")
    assert planted(tmp_path / "b", public, "_parts/box.py") == planted(tmp_path / "c", public, "_box.py") == []
    assert len(planted(tmp_path / "d", public, "parts/__init__.py")) == 2


if __name__ == "__main__":
    print("\n".join(violations(PACKAGE)))
