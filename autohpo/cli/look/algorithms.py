"""What the registry knows of each algorithm: what problems it takes, its paper, and its options."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_defaults, option_names
from autohpo.algorithms.registry import ALIASES, available_hpos, get_hpo
from autohpo.errors import AutoHPOError, text_of

_ARGUMENT = re.compile(r"^(\w+): (.*)$")


def rows() -> list[dict[str, Any]]:
    """Return a row for each algorithm, plug-ins among them; one that cannot be loaded has its error there."""
    found = []
    for name in available_hpos():
        try:
            cls = get_hpo(name)
        except (AutoHPOError, ImportError) as error:
            found.append({"name": name, "error": str(error)})
            continue
        found.append(facts(name, cls))
    return found


def facts(name: str, cls: type[BaseHPOptimizer]) -> dict[str, Any]:
    """Return what problems an algorithm takes.

    Args:
        name: The name it is asked for by, which may be an alias.
        cls: The class of the algorithm.
    """
    names = option_names(cls)
    is_waiting = "num_iterations" in names and option_defaults(cls).get("type", "synchronous") == "synchronous"
    return {
        "name": name,
        "alias_of": ALIASES.get(name),
        "summary": summary_of(cls),
        "space": "any, with constraints" if "constraints" in cls.supports else "any",
        "fidelity": _fidelity(cls),
        "parallel": "yes; a rung waits for its trials" if is_waiting else "yes",
        "objectives": "several" if "objectives" in cls.supports else "one",
        "outcome_constraints": "outcome_constraints" in cls.supports,
        "needs_checkpoints": cls.needs_checkpoints,
        "paper": paper_of(cls),
        "module": cls.__module__,
    }


def _fidelity(cls: type[BaseHPOptimizer]) -> str:
    """Return what an algorithm does with trials that get different fidelities."""
    if cls.is_multi_fidelity:
        return "schedules"
    if cls.reads_fidelity:
        return "reads"
    return "if given" if "max_fidelity" in option_names(cls) else "no"


def summary_of(cls: type) -> str:
    """Return the first sentence of a class's documentation."""
    text = inspect.getdoc(cls) or ""
    return " ".join(text.partition("\n\n")[0].split())


def paper_of(cls: type) -> str:
    """Return where an algorithm comes from, as its documentation says; the empty string where it does not."""
    found = re.search(r"^Source:(.*?)(?:\n\n|\Z)", inspect.getdoc(cls) or "", re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()).replace("``", "") if found else ""


def short_paper(paper: str) -> str:
    """Return the first work of a list of them: ``Falkner, Klein and Hutter 2018``."""
    found = re.match(r".*?\d{4}", paper)
    return found[0] if found else paper


def options_of(cls: type[BaseHPOptimizer]) -> list[dict[str, Any]]:
    """Return the options of an algorithm, its own first: name, type, default, and what its documentation says."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    defaults, texts = option_defaults(cls), _texts(cls)
    common = set(option_names(BaseHPOptimizer))
    names = sorted(option_names(cls), key=lambda name: name in common)
    return [
        {
            "name": name,
            "type": _type_text(fields[name].type if name in fields else _annotation(cls, name)),
            "default": text_of(defaults[name]) if name in defaults else None,
            "is_common": name in common,
            "meaning": texts.get(name, ""),
        }
        for name in names
    ]


def _annotation(cls: type, name: str) -> Any:
    parameter = inspect.signature(cls).parameters.get(name)
    return "" if parameter is None or parameter.annotation is inspect.Parameter.empty else parameter.annotation


def _type_text(kind: Any) -> str:
    return kind if isinstance(kind, str) else str(getattr(kind, "__name__", kind))


def _texts(cls: type) -> dict[str, str]:
    """Return what the documentation of a class and of its bases says of each argument."""
    found: dict[str, str] = {}
    for one in cls.__mro__:
        if one.__doc__ and "Args:" in one.__doc__:
            for name, text in _arguments(inspect.cleandoc(one.__doc__)).items():
                found.setdefault(name, text)
    return found


def _arguments(text: str) -> dict[str, str]:
    """Return the arguments that a text of Google's style describes."""
    found: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in text.partition("Args:\n")[2].splitlines():
        if line and not line.startswith(" "):
            break
        match = _ARGUMENT.match(line[4:])
        if match and line[:4].isspace():
            last = found.setdefault(match[1], [match[2]])
        elif last is not None and line.strip():
            last.append(line.strip())
    return {name: plain(" ".join(lines).replace("``", "")) for name, lines in found.items()}


def plain(text: str) -> str:
    """Return documentation without the roles that only a browser shows as links."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)


def filled(text: str, width: int) -> str:
    """Return documentation whose paragraphs are wrapped to a width; lists and examples stay as they are."""
    paragraphs = text.split("\n\n")
    is_prose = [all(line[:1] not in (" ", "-", "|", ">") for line in one.splitlines()) for one in paragraphs]
    parts = [
        textwrap.fill(" ".join(one.split()), width, break_on_hyphens=False) if kept else one
        for one, kept in zip(paragraphs, is_prose, strict=True)
    ]
    return "\n\n".join(parts)
