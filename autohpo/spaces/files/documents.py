"""YAML, TOML and JSON files as plain values: mappings know the lines of their keys, and no key stands there twice."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autohpo.errors import AutoHPOError, SpaceError, shown

SUFFIXES = (".yaml", ".yml", ".json", ".toml")
"""The endings of the names of configuration files."""

MOST_BYTES = 4 * 2**20
"""The largest file that is read."""

MOST_VALUES = 100_000
"""The most values of a file, each as often as it is referred to."""


class ConfigError(SpaceError):
    """A file of a search space or a configuration breaks a rule; the text names file, line and key."""


class Table(dict[Any, Any]):
    """A mapping of a file, which knows where its keys stand.

    Args:
        items: The keys and values.
        where: The name of the file.
        lines: The lines of the keys, from 1, as far as they are known; 0 for a key that the command line gave.
    """

    def __init__(
        self, items: Mapping[Any, Any] | None = None, where: str = "", lines: Mapping[Any, int] | None = None
    ) -> None:
        super().__init__(items or {})
        self.where, self.lines = where, dict(lines or {})

    def at(self, key: Any) -> str:
        """Return where a key stands, as the beginning of an error; empty where there is no file."""
        line = self.lines.get(key)
        if not self.where or line == 0:
            return ""
        return f"{self.where}: " if line is None else f"{self.where}, line {line}: "


def plain(value: Any) -> Any:
    """Return a value of a file with dicts in place of tables: what stores and optimizers know."""
    if isinstance(value, Table):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if type(value) is list else value


def first_word(text: str) -> str:
    """Return the name at the beginning of an error; empty where there is none."""
    found = re.match(r"[A-Za-z_]\w*", text)
    return found[0] if found else ""


@contextmanager
def located(table: Mapping[Any, Any], key: Any) -> Iterator[None]:
    """Say file and line in errors of ours about the value of a key; an error that says them already is left alone.

    Raises:
        ConfigError: An error of ours was raised.
    """
    try:
        yield
    except ConfigError:
        raise
    except AutoHPOError as error:
        where = table.at(key) if isinstance(table, Table) else ""
        if not where:
            raise
        raise ConfigError(f"{where}{error}") from error


def read_document(path: Path) -> Any:
    """Return the content of a file, by the ending of its name.

    Raises:
        ConfigError: It cannot be read, is no such document, or has a key twice.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read: {error}") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{where}: must be at most {MOST_BYTES // 2**20} MiB large")
    if path.suffix.lower() == ".toml":
        return parse_toml(text, where)
    try:
        return parse_yaml(text, where)
    except ConfigError as error:
        if path.suffix.lower() != ".json":
            raise
        raise ConfigError(str(error).replace("is no YAML", "is no JSON")) from error


def parse_toml(text: str, where: str = "") -> Any:
    """Return the content of a TOML document.

    Raises:
        ConfigError: It is none, or holds a date.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return _with_lines(tomllib.loads(text), text.splitlines(), where)
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # of TOML, or an integer of thousands of digits
        raise ConfigError(f"{_prefix(where)}is no TOML: {error or type(error).__name__}") from error


def _with_lines(value: Any, lines: list[str], where: str) -> Any:
    """Return a value of TOML, whose reader tells no lines: each key has the first line that looks like its own."""
    if isinstance(value, list):
        return [_with_lines(item, lines, where) for item in value]
    if isinstance(value, dict):
        found = {key: _line_of(key, lines) for key in value}
        items = {key: _with_lines(item, lines, where) for key, item in value.items()}
        return Table(items, where, {key: line for key, line in found.items() if line})
    if not isinstance(value, (str, int, float, bool)):
        raise ConfigError(f"{_prefix(where)}dates are no values here, got {value}; write it as a string")
    return value


def _line_of(key: str, lines: list[str]) -> int:
    name = rf"[\"']?{re.escape(key)}[\"']?"
    pattern = re.compile(rf"^\s*({name}\s*[=.]|\[+([^\]]*\.)?\s*{name}\s*\])|[{{,.]\s*{name}\s*=")
    return next((number for number, line in enumerate(lines, 1) if pattern.search(line)), 0)


def _prefix(where: str) -> str:
    return f"{where}: " if where else ""


# YAML.

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)


def plain_scalar(text: str) -> Any:
    """Return what an unquoted word of YAML 1.2 means: ``1e-4`` is a number, and yes, no, on and off are strings.

    Raises:
        ValueError: It is an integer of thousands of digits.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _joined(text: str) -> str:
    """Return a string with one character for each pair that JSON writes for those beyond 16 bits."""
    if text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def parse_yaml(text: str, where: str = "") -> Any:
    """Return the content of a YAML document: that of YAML 1.2, with ``<<`` to merge mappings.

    Raises:
        ConfigError: It is none, has a key twice, refers to itself, or has a tag of its own.
    """
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc] # it has no annotations
        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            """Leave plain words to us: PyYAML takes 1e-4 for a string, and no for False."""
            return _PLAIN if kind is yaml.ScalarNode and implicit[0] else super().resolve(kind, value, implicit)

    try:
        node = yaml.compose(text, Loader=Loader)
        return None if node is None else _Reader(where).value(node)
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        what = ", ".join(part for part in (error.context, error.problem) if part)
        if "mapping values are not allowed" in what:
            what += "; put a text that has a colon and a blank in it, such as a command, into quotes"
        elif "'\\t'" in what:
            what += "; indent with blanks"
        raise ConfigError(f"{where or 'text'}{line}: is no YAML: {what}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{_prefix(where)}is no YAML: {str(error) or 'it is nested too deeply'}") from error


_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"  # the tag of a word without quotes and without a tag


class _Reader:
    """Makes values of the nodes of a YAML document."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._made: dict[
            int, tuple[Any, int]
        ] = {}  # the value of a node and how many values it holds: anchors share it
        self._open: set[int] = set()

    def value(self, node: Any) -> Any:
        """Return the value of a node."""
        return self._sized(node)[0]

    def _sized(self, node: Any) -> tuple[Any, int]:
        known = self._made.get(id(node))
        if known is not None:
            return known
        if id(node) in self._open:
            raise self._error(node, "a value must not hold itself")
        self._open.add(id(node))
        made = self._make(node)
        if made[1] > MOST_VALUES:
            raise self._error(node, f"there must be at most {MOST_VALUES} values, those behind references included")
        self._open.discard(id(node))
        self._made[id(node)] = made
        return made

    def _make(self, node: Any) -> tuple[Any, int]:
        kind = type(node).__name__
        if kind == "ScalarNode":
            return self._scalar(node), 1
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise self._error(node, f"the tag {node.tag.replace(_TAG, '!!')} is none that is understood here")
        if kind == "SequenceNode":
            parts = [self._sized(item) for item in node.value]
            return [item for item, _ in parts], 1 + sum(n for _, n in parts)
        return self._mapping(node)

    def _scalar(self, node: Any) -> Any:
        kinds: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
        name = node.tag.removeprefix(_TAG)
        if name == "str":
            return _joined(str(node.value))
        if name not in kinds and name != _PLAIN:
            raise self._error(node, f"the tag {node.tag.replace(_TAG, '!!')} is none that is understood here")
        try:
            found = plain_scalar(node.value)
        except ValueError as error:
            raise self._error(node, str(error)) from error
        if name == _PLAIN:
            return found
        if not isinstance(found, kinds[name]):
            raise self._error(node, f"{shown(node.value)} is no {name}")
        return float(found) if name == "float" else found

    def _mapping(self, node: Any) -> tuple[Table, int]:
        own, merged = Table(where=self._where), Table(where=self._where)
        n_values = 1
        for key_node, value_node in node.value:
            if type(key_node).__name__ != "ScalarNode":
                raise self._error(key_node, "keys must be words or numbers, no lists and no mappings")
            key, (value, n) = self._scalar(key_node), self._sized(value_node)
            n_values += n
            if key == "<<" and key_node.style is None:
                for part in value if isinstance(value, list) else [value]:
                    if not isinstance(part, Table):
                        raise self._error(key_node, f"<< must merge mappings, got {shown(part)}")
                    for name in part:
                        merged.setdefault(name, part[name])
                        merged.lines.setdefault(name, part.lines.get(name, 1))
                continue
            if key in own:
                first = own.lines[next(known for known in own if known == key)]
                raise self._error(key_node, f"{key}: is given twice, first in line {first}")
            own[key], own.lines[key] = value, key_node.start_mark.line + 1
        return Table({**merged, **own}, self._where, {**merged.lines, **own.lines}), n_values

    def _error(self, node: Any, text: str) -> ConfigError:
        return ConfigError(f"{self._where or 'text'}, line {node.start_mark.line + 1}: {text}")
