"""Conditions: which parameters are in force in a configuration, and in what order that is decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autohpo.errors import SpaceError
from autohpo.spaces.base import HPSpace
from autohpo.spaces.choice import ChoiceHP
from autohpo.spaces.expression import Expression


class Conditions:
    """What decides whether a parameter is in force: the choices it is a child of, and a formula.

    Args:
        roots: The parameters that stand at the top.
        formulas: By the name of a parameter; it is in force where its formula is true. Whatever its formula or its
            length speaks of must be in force too.

    Attributes:
        parameters: All of them, each after those that decide about it.
        formulas: As given.

    Raises:
        SpaceError: There is no parameter, an item is none, a name stands for two, a formula names a stranger, or
            parameters decide about each other in a circle.
    """

    def __init__(self, roots: Sequence[HPSpace], formulas: Mapping[str, str]) -> None:
        self._parents: dict[str, dict[str, set[int]]] = {}  # of a child: its parents, and at which of their choices
        self._by_name: dict[str, HPSpace] = {}
        self._collect(roots)
        self.formulas = dict(formulas)
        self._formulas = {name: Expression(text) for name, text in self.formulas.items()}
        for name in self._formulas:
            if name not in self._by_name:
                raise SpaceError(f"conditions: {name!r} is no parameter; the space has {sorted(self._by_name)}")
        self._needed = {  # whatever decides by its value
            name: (*hp.refers_to, *(self._formulas[name].names if name in self._formulas else ()))
            for name, hp in self._by_name.items()
        }
        self.parameters = self._ordered()

    def _collect(self, parameters: Iterable[Any]) -> None:
        """Takes in parameters, and what stands under their choices."""
        for hp in parameters:
            if not isinstance(hp, HPSpace):
                raise SpaceError(f"space: every item must be an HPSpace such as RangeHP, got {hp!r:.80}")
            if hp.name in self._by_name:
                raise SpaceError(f"{hp.name}: names must differ, got this one twice")
            self._take(hp)

    def _take(self, hp: HPSpace) -> None:
        known = self._by_name.setdefault(hp.name, hp)
        if known is not hp:  # it stands under several choices, as the same parameter
            if known != hp or hp.name not in self._parents:
                raise SpaceError(f"{hp.name}: names must differ, got this one for {known} and {hp}")
            return
        for place, children in enumerate(getattr(hp, "children", ()) if isinstance(hp, ChoiceHP) else ()):
            for child in children:
                if child.name in self._by_name and child.name not in self._parents:
                    raise SpaceError(f"{child.name}: names must differ, got this one for a child and for another")
                self._parents.setdefault(child.name, {}).setdefault(hp.name, set()).add(place)
                self._take(child)

    def deciders(self, name: str) -> tuple[str, ...]:
        """Names of the parameters that decide about one: whether it is in force, and how long it is."""
        return (*self._parents.get(name, ()), *self._needed[name])

    def _ordered(self) -> tuple[HPSpace, ...]:
        """The parameters as listed, but each after those that decide about it."""
        placed: dict[str, HPSpace] = {}

        def place(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                raise SpaceError(f"conditions: {' -> '.join([*trail, name])} decide about each other in a circle")
            if name not in self._by_name:
                raise SpaceError(f"{trail[-1]}: refers to {name!r}, which is no parameter of the space")
            if name not in placed:
                for other in self.deciders(name):
                    place(other, (*trail, name))
                placed[name] = self._by_name[name]

        for name in self._by_name:
            place(name, ())
        return tuple(placed.values())

    @property
    def is_any(self) -> bool:
        """Whether some parameter is not always in force, or not always of the same length."""
        return any(self.deciders(name) for name in self._by_name)

    def is_active(self, name: str, hp: Mapping[str, Any]) -> bool:
        """Whether a parameter is in force in a configuration that holds those that decide about it."""
        parents = self._parents.get(name)
        if parents is not None and not any(self._stands(parent, places, hp) for parent, places in parents.items()):
            return False
        formula = self._formulas.get(name)
        return all(other in hp for other in self._needed[name]) and (formula is None or bool(formula(hp)))

    def _stands(self, parent: str, places: set[int], hp: Mapping[str, Any]) -> bool:
        choice = self._by_name[parent]
        return parent in hp and isinstance(choice, ChoiceHP) and choice.index_of(hp[parent]) in places
