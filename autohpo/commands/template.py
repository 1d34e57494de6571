"""Templates of commands: words with placeholders in braces."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from autohpo.errors import OptionError, shown

RESERVED = (
    *("fidelity", "seed", "trial", "checkpoint_dir", "device", "slot", "json", "config_file", "result_file"),
    *("python", "args"),
)
"""Placeholders that are no parameters."""

WHOLE = ("json", "config_file", "args")
"""Placeholders that hand over the whole configuration."""

MISSING = {
    "fidelity": (
        "the search trains every configuration in full and does not say how much that is; take a multi-fidelity "
        "algorithm such as asha, give CommandObjective(full_fidelity=...), or write {--flag:fidelity}, which is "
        "nothing then"
    ),
    "device": "this worker was given no GPU; give optimize(gpus=...), or write {--flag:device}, which is nothing then",
    "result_file": "there is no such file; give CommandObjective(result_file=...)",
}
"""Why a placeholder of our own may have no value."""

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

Lookup = Callable[[str], str | None]
"""Takes the name of a placeholder and returns its value as a word; None where it has none in this configuration."""


@dataclass(frozen=True)
class Placeholder:
    """A placeholder of a template.

    Attributes:
        text: The placeholder as it was written, with its braces.
        readings: The pairs of a flag and a name that it may mean; a value alone has the empty flag.
        is_joined: Whether flag and value are one word, as in ``--lr=0.1``.
    """

    text: str
    readings: tuple[tuple[str, str], ...]
    is_joined: bool = False

    @classmethod
    def of(cls, body: str) -> Placeholder:
        """Read what stands between the braces.

        Raises:
            OptionError: It is empty.
        """
        text = f"{{{body}}}"
        if not body.strip("-=: "):
            raise OptionError(
                f"command: {text} names no parameter; write {{{{ and }}}} for braces that are no placeholder"
            )
        if not body.startswith("-"):
            return cls(text, (("", body),))
        if "=:" in body:
            flag, name = body.split("=:", 1)
            return cls(text, ((flag, name),), is_joined=True)
        is_joined = body.endswith("=")
        flag = body.removesuffix("=")
        readings = [(flag, flag.lstrip("-"))]
        short, colon, name = flag.partition(":")
        if colon:  # a parameter's own name may have a colon
            readings.append((short, name))
        return cls(text, tuple(readings), is_joined)

    @property
    def has_flag(self) -> bool:
        """Whether it is a flag with its value, and nothing where there is no value."""
        return bool(self.readings[0][0])

    @property
    def is_args(self) -> bool:
        """Whether it stands for all parameters."""
        return self.readings == (("", "args"),)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it may mean."""
        return tuple(name for _, name in self.readings)

    def known(self, names: Collection[str]) -> list[tuple[str, str]]:
        """Return the readings whose name is among some names."""
        return [reading for reading in self.readings if reading[1] in names]

    def words(self, lookup: Lookup) -> list[str]:
        """Return the words it becomes; none where it is a flag whose parameter has no value.

        Raises:
            OptionError: It is no flag, and has no value.
        """
        for flag, name in self.readings:
            value = lookup(name)
            if value is not None:
                return [value] if not flag else [f"{flag}={value}"] if self.is_joined else [flag, value]
        if not self.has_flag:
            name = self.names[0]
            why = MISSING.get(
                name, f"{name} is not active in this configuration; write {{--{name}}}, which is nothing then"
            )
            raise OptionError(f"command: {self.text} has no value: {why}")
        return []


Piece = str | Placeholder
Word = tuple[Piece, ...]


def parse(text: str) -> Word:
    """Return the pieces of a text: literals and placeholders.

    Raises:
        OptionError: A brace has no partner.

    Example:
        >>> [piece if isinstance(piece, str) else piece.names for piece in parse("x={x},{{y}}")]
        ['x=', ('x',), ',', '{', 'y', '}']
    """
    pieces: list[Piece] = []
    at = 0
    for found in _PIECE.finditer(text):
        if found.start() > at:
            pieces.append(text[at : found.start()])
        at = found.end()
        token = found[0]
        if token in ("{{", "}}"):
            pieces.append(token[0])
        elif found[1] is not None:
            pieces.append(Placeholder.of(found[1]))
        else:
            raise OptionError(
                f"command: the brace {token!r} has no partner in {shown(text)}; write {token * 2!r} for a brace, and "
                "put a placeholder with spaces into quotes"
            )
    if at < len(text):
        pieces.append(text[at:])
    return tuple(pieces)


@dataclass(frozen=True)
class Template:
    """A command with placeholders.

    Attributes:
        words: The words; a command for the shell is one.
        is_shell: Whether a shell reads it.
    """

    words: tuple[Word, ...]
    is_shell: bool = False

    @classmethod
    def of(cls, command: str | Sequence[str], *, shell: bool = False) -> Template:
        """Read a command.

        Raises:
            OptionError: It is empty, its quotes or braces have no partner, or a placeholder stands where its value
                could not be kept apart from the rest.
        """
        return _template(command if isinstance(command, str) else tuple(command), shell)

    def __iter__(self) -> Iterator[Placeholder]:
        return (piece for word in self.words for piece in word if isinstance(piece, Placeholder))

    def fill(self, lookup: Lookup, args: Sequence[tuple[str, str]]) -> list[str] | str:
        """Return the command of a configuration: its words, or one string for the shell.

        Args:
            lookup: What gives the values.
            args: The names and values that ``{args}`` stands for.
        """
        if self.is_shell:
            return "".join(self._quoted(piece, lookup, args) for piece in self.words[0])
        return [made for word in self.words for made in _filled(word, lookup, args)]

    def _quoted(self, piece: Piece, lookup: Lookup, args: Sequence[tuple[str, str]]) -> str:
        return piece if isinstance(piece, str) else " ".join(map(shlex.quote, _filled((piece,), lookup, args)))


def fill_text(text: str, lookup: Lookup) -> str:
    """Return a text with its placeholders filled, as one word."""
    return "".join(_filled(parse_text(text), lookup, ()))


def _filled(word: Word, lookup: Lookup, args: Sequence[tuple[str, str]]) -> list[str]:
    if len(word) == 1 and isinstance(word[0], Placeholder):
        if word[0].is_args:
            return [part for name, value in args for part in (f"--{name}", value)]
        return word[0].words(lookup)
    return ["".join(piece if isinstance(piece, str) else piece.words(lookup)[0] for piece in word)]


@lru_cache(maxsize=64)
def parse_text(text: str) -> Word:
    """Return the pieces of a text that is one word: a file, a folder, the value of a variable.

    Raises:
        OptionError: A brace has no partner, or a placeholder may be no word, or two.
    """
    word = parse(text)
    _check_whole(word, is_text=True)
    return word


@lru_cache(maxsize=64)
def _template(command: str | tuple[str, ...], shell: bool) -> Template:
    if shell:
        if not isinstance(command, str):
            raise OptionError("command: must be one string where shell=True, got a list of words")
        word = parse(command)
        _check_unquoted(word)
        template = Template((word,), is_shell=True)
    else:
        template = Template(tuple(map(parse, _split(command) if isinstance(command, str) else map(str, command))))
        for word in template.words:
            _check_whole(word)
    if not any(piece for word in template.words for piece in word):
        raise OptionError("command: must have at least one word, got none")
    return template


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as fault:
        raise OptionError(
            f"command: cannot be split into words ({fault}): {shown(command)}; give a list of words"
        ) from None


def _check_whole(word: Word, *, is_text: bool = False) -> None:
    """Raise OptionError where what may be no word or two is a part of another word."""
    for piece in word:
        if isinstance(piece, Placeholder) and (piece.has_flag or piece.is_args) and (is_text or len(word) > 1):
            written = shown("".join(map(_written, word)))
            raise OptionError(
                f"command: {piece.text} must be a word of its own, got {written}; a part of it is {{name}}"
            )


def _written(piece: Piece) -> str:
    return piece if isinstance(piece, str) else piece.text


def _check_unquoted(word: Word) -> None:
    """Raise OptionError where a placeholder stands inside quotes of the shell: its value brings its own."""
    quote, is_escaped = "", False
    for piece in word:
        if isinstance(piece, Placeholder):
            if quote or is_escaped:
                raise OptionError(
                    f"command: {piece.text} must stand outside of quotes where shell=True, for its value is quoted "
                    f"anyway, got {shown(''.join(map(_written, word)))}"
                )
            continue
        for character in piece:
            if is_escaped:
                is_escaped = False
            elif character == "\\" and quote != "'":
                is_escaped = True
            elif quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                quote = character
