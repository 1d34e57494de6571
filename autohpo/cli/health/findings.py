"""Findings: what a check saw, and how bad that is. A check that fails itself is a finding, too."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["ok", "note", "problem", "damage"]
"""How bad a finding is: all is well, worth knowing, something will not work, or the store is damaged."""


@dataclass(frozen=True)
class Finding:
    """A finding of a check.

    Attributes:
        about: The subject, a word or two.
        text: What was seen, a sentence without its full stop.
        level: How bad it is.
        advice: What to do about it; the empty string where nothing is to be done.
    """

    about: str
    text: str
    level: Level = "ok"
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the finding in JSON types."""
        return {"about": self.about, "level": self.level, "text": self.text, "advice": self.advice}


Check = tuple[str, Callable[[], Iterator[Finding]]]
"""The subject of a check, and what yields its findings."""


def findings_of(checks: Sequence[Check]) -> list[Finding]:
    """Return what checks find, each by itself: one that raises is named, and the others still run."""
    return [finding for about, check in checks for finding in _run(about, check)]


def _run(about: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check finds, and what it warns of."""
    found: list[Finding] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found.extend(check())
        except Exception as error:  # whatever a broken installation or a damaged file makes of a check
            found.append(Finding(about, f"could not be looked at ({type(error).__name__}: {error})", "note"))
    texts = dict.fromkeys(str(one.message).removeprefix("store: ") for one in said)
    return found + [Finding(about, text, "note") for text in texts]


def size_text(n_bytes: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("B", "KB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.4g} TB"
