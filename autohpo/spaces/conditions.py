"""Conditions: which parameters are active in a configuration, and in what order that is decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.spaces.base import HPSpace
from autohpo.spaces.choice import ChoiceHP
from autohpo.spaces.expression import Expression


class Conditions:
    """The conditions of a space: the choices that a parameter is a child of, and a formula.

    Args:
        roots: The parameters without their children.
        formulas: A formula by the name of a parameter, which is active where the formula is true and all parameters
            in the formula, or in the rule of its length, are active.

    Attributes:
        parameters: All parameters, each after those that decide about it.
        formulas: The formulas as given.

    Raises:
        SpaceError: An item is not a parameter, two parameters have the same name, a formula names an unknown
            parameter, or parameters decide about each other in a circle.
    """

    def __init__(self, roots: Sequence[HPSpace], formulas: Mapping[str, str]) -> None:
        self._parents: dict[str, dict[str, set[int]]] = {}  # of a child: its parents, and at which of their choices
        self._by_name: dict[str, HPSpace] = {}
        self._collect(roots)
        self.formulas = dict(formulas)
        self._formulas = {name: Expression(text) for name, text in self.formulas.items()}
        for name, formula in self._formulas.items():
            if not formula.names and not formula({}):
                raise SpaceError(f"conditions: {name!r} would never be active with {formula.text!r}; leave it out")
            if name not in self._by_name:
                raise SpaceError(f"conditions: {name!r} is not a parameter; the space has {sorted(self._by_name)}")
        self._needed = {  # whatever decides by its value
            name: (*parameter.refers_to, *(self._formulas[name].names if name in self._formulas else ()))
            for name, parameter in self._by_name.items()
        }
        self.parameters = self._ordered()

    def _collect(self, parameters: Iterable[Any]) -> None:
        """Add parameters, and the children of their choices."""
        for parameter in parameters:
            if not isinstance(parameter, HPSpace):
                raise SpaceError(f"space: every item must be an HPSpace such as RangeHP, got {shown(parameter)}")
            if parameter.name in self._by_name:
                raise SpaceError(f"{parameter.name}: names must differ, got {shown(parameter.name)} twice")
            self._add(parameter)

    def _add(self, parameter: HPSpace) -> None:
        name = parameter.name
        known = self._by_name.setdefault(name, parameter)
        if known is not parameter:  # it stands under several choices, as the same parameter
            if known != parameter or name not in self._parents:
                rule = "names must differ, but for one parameter that stands under several choices"
                advice = f"name each for its choice, such as 'gcn:{name}', or make them equal"
                raise SpaceError(f"{name}: {rule}, got {known} and {parameter}; {advice}")
            return
        for index, children in enumerate(parameter.children if isinstance(parameter, ChoiceHP) else ()):
            for child in children:
                if child.name in self._by_name and child.name not in self._parents:
                    raise SpaceError(
                        f"{child.name}: names must differ, got {shown(child.name)} inside and outside a choice"
                    )
                self._parents.setdefault(child.name, {}).setdefault(name, set()).add(index)
                self._add(child)

    def deciders(self, name: str) -> tuple[str, ...]:
        """Return the names of the parameters that decide whether a parameter is active, and how long it is."""
        return (*self._parents.get(name, ()), *self._needed[name])

    def _ordered(self) -> tuple[HPSpace, ...]:
        """Return the parameters as listed, but each after those that decide about it."""
        placed: dict[str, HPSpace] = {}

        def place(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                raise SpaceError(f"conditions: must not form a circle, got {' -> '.join([*trail, name])}")
            if name not in self._by_name:
                raise SpaceError(f"{trail[-1]}: must refer to parameters of {sorted(self._by_name)}, got {shown(name)}")
            if name not in placed:
                for other in self.deciders(name):
                    place(other, (*trail, name))
                placed[name] = self._by_name[name]

        for name in self._by_name:
            place(name, ())
        return tuple(placed.values())

    @property
    def is_any(self) -> bool:
        """Whether some parameter is not always active, or not always of the same length."""
        return any(self.deciders(name) for name in self._by_name)

    def is_active(self, name: str, hp: Mapping[str, Any]) -> bool:
        """Return whether a parameter is active in a configuration that holds those that decide about it."""
        parents = self._parents.get(name)
        if parents is not None and not any(self._has(hp, parent, chosen) for parent, chosen in parents.items()):
            return False
        formula = self._formulas.get(name)
        return all(other in hp for other in self._needed[name]) and (formula is None or bool(formula(hp)))

    def _has(self, hp: Mapping[str, Any], parent: str, chosen: set[int]) -> bool:
        """Return whether a configuration has one of some choices of a parent."""
        choice = self._by_name[parent]
        return parent in hp and isinstance(choice, ChoiceHP) and choice.index_of(hp[parent]) in chosen
