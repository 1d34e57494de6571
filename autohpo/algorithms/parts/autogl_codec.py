"""AutoGL's encoded form of a space: flat, one scale, choices by index, as its own algorithms search it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.errors import OptionError
from autohpo.spaces import ListHP, SearchSpace
from autohpo.spaces.autogl_form import AutoGLForm


@dataclass(frozen=True)
class _Number:
    """A number in its encoded form: a DOUBLE on a linear scale."""

    key: str
    low: float
    high: float
    is_log: bool
    is_int: bool

    def item(self) -> dict[str, Any]:
        """Return its dict."""
        low, high = (math.log(end) if self.is_log else float(end) for end in (self.low, self.high))
        return {
            "parameterName": self.key,
            "type": "DOUBLE",
            "minValue": low,
            "maxValue": high,
            "scalingType": "LINEAR",
        }

    def decode(self, given: Any) -> tuple[Any, Any]:
        """Return its value, and the encoded form of that value."""
        value = min(max(math.exp(given) if self.is_log else given, self.low), self.high)
        if not self.is_int:
            return value, given
        value = round(value)
        return value, math.log(value) if self.is_log else value


@dataclass(frozen=True)
class _Index:
    """A choice in its encoded form: a DISCRETE of indices, which an algorithm may hand back as strings."""

    key: str
    values: Sequence[Any]

    def item(self) -> dict[str, Any]:
        """Return its dict."""
        points = ",".join(map(str, range(len(self.values))))
        return {"parameterName": self.key, "type": "DISCRETE", "feasiblePoints": points}

    def decode(self, given: Any) -> tuple[Any, Any]:
        """Return its value, and the encoded form of that value."""
        return self.values[int(float(given))], given


class AutoGLCodec:
    """A space in AutoGL's dict form, encoded for algorithms that know only ranges and indices.

    Names get their module and a trailing underscore (``trainer:lr_``), entries of a list their place
    (``encoder:hidden_0``). Numbers become a DOUBLE on a linear scale, LOG ones their natural logarithm; choices a
    DISCRETE of their indices; what is FIXED is left out.

    Args:
        form: The dicts, which are not changed.

    Raises:
        SpaceError: A parameter breaks a rule.

    Example:
        >>> codec = AutoGLCodec([{"parameterName": "lr", "type": "DOUBLE", "minValue": 0.01, "maxValue": 1.0,
        ...                       "scalingType": "LOG"}])
        >>> codec.items[0]["parameterName"], codec.items[0]["maxValue"]
        ('lr_', 0.0)
        >>> codec.decode({"lr_": 0.0})[0]
        {'lr': 1.0}
    """

    def __init__(self, form: AutoGLForm) -> None:
        self._space = SearchSpace(form)
        if self._space.modules is None:
            raise OptionError("space: must be AutoGL's form, a list of dicts or a dict of such lists")
        forms = self._space.autogl_items
        self._entries = {name: self._encoded(name, item) for name, item in forms.items() if item["type"] != "FIXED"}
        self._fixed = {name: item["value"] for name, item in forms.items() if item["type"] == "FIXED"}
        self.items = [entry.item() for entries in self._entries.values() for entry in entries]

    def decode(self, para: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the configuration that a trainer takes, and the encoded one with integers rounded.

        Args:
            para: A value for each name in ``items``; an index may be an int, a float or a string.

        Raises:
            OptionError: A name is missing.
        """
        missing = sorted(item["parameterName"] for item in self.items if item["parameterName"] not in para)
        if missing:
            raise OptionError(f"para: must have {missing}, got {sorted(para)}")
        hp, trial = dict(self._fixed), {}
        for name, entries in self._entries.items():
            decoded = [entry.decode(para[entry.key]) for entry in entries]
            trial.update({entry.key: code for entry, (_, code) in zip(entries, decoded, strict=True)})
            values = [value for value, _ in decoded]
            hp[name] = values if isinstance(self._space[name], ListHP) else values[0]
        for name, value in hp.items():
            parameter = self._space[name]
            if isinstance(parameter, ListHP):
                hp[name] = parameter.cut(value, hp)
        if not self._space.modules:
            return hp, trial
        nested: dict[str, Any] = {module: {} for module in self._space.modules}
        for name, value in hp.items():
            module, _, inner = name.partition(":")
            nested[module][inner] = value
        return nested, trial

    def _encoded(self, name: str, form: Mapping[str, Any]) -> list[_Number | _Index]:
        """Return the encoded form of a parameter: one entry, or one for each place of a list."""
        is_list = form["type"].endswith("_LIST")
        n = form["length"] if is_list else 1
        keys = [f"{name}_{place}" for place in range(n)] if is_list else [f"{name}_"]
        if "feasiblePoints" in form:
            parameter: Any = self._space[name]
            one = parameter.items[0] if is_list else parameter
            return [_Index(key, one.grid(one.n_values or 1)) for key in keys]
        ends = (form["minValue"], form["maxValue"])
        lows, highs = (end if isinstance(end, (list, tuple)) else [end] * n for end in ends)
        is_log, is_int = form["scalingType"] == "LOG", "INTEGER" in (form["type"], form.get("numericalType"))
        return [_Number(key, low, high, is_log, is_int) for key, low, high in zip(keys, lows, highs, strict=True)]
