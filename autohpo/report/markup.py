"""HTML and SVG elements that cannot forget to escape: text is escaped unless it is markup already."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"circle", "line", "meta", "path"})  # of those used here: elements without an end tag


class Markup(str):
    """Text that is HTML, not to be escaped again; only this room's own functions make it."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float) -> Markup:
    """An element with its children, where plain text is escaped.

    Args:
        name: The name of the element.
        children: Text or markup.
        attributes: `class_` stands for ``class``, and ``_`` elsewhere for ``-``; an empty text is left out.
    """
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value if isinstance(value, str) else number(value))}"'
        for key, value in attributes.items()
        if value != ""
    )
    if name in _VOID:
        return Markup(f"<{name}{text}/>")
    return Markup(f"<{name}{text}>{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """The parts one after the other, plain text escaped."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def number(value: float) -> str:
    """A coordinate as short as a tenth of a pixel allows."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
