"""A configured trainer: its hyper-parameters, its search space and its default; nothing here is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from autohpo.algorithms.parts.points import Point
from autohpo.errors import OptionError, SpaceError, shown
from autohpo.integrations.pyg.configuration import PARTS, complete, flat, prefixed
from autohpo.integrations.pyg.spaces import Task, checked_models, space_of
from autohpo.spaces import HPSpace, SearchSpace


class Configured:
    """What a trainer is before it is trained; the first half of AutoGL's contract."""

    task: ClassVar[Task]
    n_widths: ClassVar[int]  # how many widths `hidden` has less than there are layers
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]]

    def __init__(self, model: str | Sequence[str], device: str, hp: Mapping[str, Any]) -> None:
        self.models = checked_models(model)
        if not isinstance(device, str) or not device:
            raise OptionError(f"device: must be 'auto', or the name of a device such as 'cuda:0', got {shown(device)}")
        self.device = device
        self._given: dict[str, Any] = {}
        self._set(flat(hp))

    def _set(self, hp: Mapping[str, Any]) -> None:
        """Take hyper-parameters that differ from the default.

        Raises:
            SpaceError: One breaks its rule, or this model has no such hyper-parameter.
        """
        given = {**self._given, **hp}
        given["model"] = model = given.get("model", self.models[0])
        if isinstance(given.get("hidden"), int):
            layers = given.get("layers", self.defaults.get(str(model), {}).get("layers"))
            given["hidden"] = [given["hidden"]] * (layers - self.n_widths if isinstance(layers, int) else 1)
        if "layers" in hp and "hidden" not in hp:
            given.pop("hidden", None)  # that was for another number of layers
        complete(given, self.defaults, self.n_widths)
        known = {name for one in self.models for name in self.defaults[one]} | {"model", "temperature"}
        if set(given) - known:
            raise SpaceError(f"hp: {', '.join(self.models)} has no {', '.join(sorted(set(given) - known))}")
        self._given = given

    @property
    def hp(self) -> dict[str, Any]:
        """The whole configuration, by plain names."""
        return complete(self._given, self.defaults, self.n_widths)

    @property
    def space(self) -> list[HPSpace]:
        """What is searched, by plain names; change it as you like."""
        return space_of(self.models, self.task)

    @property
    def default(self) -> dict[str, Any]:
        """The trainer's own configuration, as far as its space has it."""
        return self._in_space(self.hp, SearchSpace(self.space))

    @property
    def default_point(self) -> Point:
        """The trainer's own configuration for ``points=``: tried first, and in full."""
        return Point(self.default, fidelity="full")

    @staticmethod
    def _in_space(hp: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in space.parameters:
            if one.name in hp and space.is_active(one.name, found):
                found[one.name] = hp[one.name]
        return found

    def combined_hyper_parameter_space(self) -> list[HPSpace]:
        """Return what is searched, by AutoGL's names: ``trainer:lr``, ``encoder:hidden``, ``decoder:pooling``."""
        return space_of(self.models, self.task, prefix=True)

    @property
    def default_hyper_parameters(self) -> dict[str, dict[str, Any]]:
        """The trainer's own configuration, by AutoGL's parts."""
        hp = self.hp
        return {part: {name: hp[name] for name in names if name in hp} for part, names in PARTS.items()}

    def get_default_hyper_parameter(self) -> dict[str, Any]:
        """Return the trainer's own configuration, by plain names and by AutoGL's."""
        return {**self.hp, **prefixed(self.hp)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.hp.items())})"
