"""Configurations as JSON types, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.spaces.base import HPSpace
from autohpo.spaces.numeric import LogRangeHP, RangeHP
from autohpo.untrusted import illegal


class JsonForm:
    """The JSON types that stand for configurations of a space.

    What is no legal configuration is not looked for, which would cost more than the work: where it leads to an error,
    that says so.

    Args:
        parameters: The parameters of the space.
        check: Raises SpaceError for an illegal configuration.
    """

    def __init__(self, parameters: Sequence[HPSpace], check: Callable[[Mapping[str, Any]], None]) -> None:
        own = HPSpace.to_json, HPSpace.from_json
        self._names, self._check = [parameter.name for parameter in parameters], check
        self._coded = [  # whose values are not just what JSON holds: all but numbers
            parameter
            for parameter in parameters
            if not isinstance(parameter, (RangeHP, LogRangeHP))
            or (type(parameter).to_json, type(parameter).from_json) != own
        ]

    def to_json(self, hp: Mapping[str, Any]) -> dict[str, Any]:
        """Return a legal configuration as JSON types.

        Raises:
            SpaceError: It has a value that cannot be written.
        """
        try:
            data = {name: hp[name] for name in self._names if name in hp}
            for parameter in self._coded:
                if parameter.name in data:
                    data[parameter.name] = parameter.to_json(data[parameter.name])
        except Exception as error:  # whatever a value that is none of the parameter's leads to
            raise illegal(self._check, [hp], error) from error
        return data

    def from_json(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration that :meth:`to_json` gave `data` for.

        Raises:
            SpaceError: It is nothing that :meth:`to_json` gives.
        """
        name = "data"
        try:
            hp = dict(data)
            for parameter in self._coded:
                name = parameter.name
                if name in hp:
                    hp[name] = parameter.from_json(hp[name])
        except Exception as error:  # whatever another value leads to
            raise SpaceError(f"{name}: must be as to_json() gives it, got {shown(data)}") from error
        return hp

    def key(self, hp: Mapping[str, Any]) -> str:
        """Return a string that two legal configurations share only when they are the same.

        Raises:
            SpaceError: It has a value that cannot be written.
        """
        data = self.to_json(hp)
        try:
            return json.dumps(data, sort_keys=True)
        except Exception as error:  # a value that is none of the parameter's, and none of JSON's
            raise illegal(self._check, [hp], error) from error
