"""Parameters that are children of a choice's values, put below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autohpo.spaces import ChoiceHP, HPSpace


def with_children(plain: Mapping[str, HPSpace], children: Mapping[str, Sequence[Sequence[str]]]) -> list[HPSpace]:
    """Return the parameters that are always active, with the others below the choices that they depend on.

    Args:
        plain: All parameters by name, none of them with children.
        children: For each choice that has some, the names below each of its values.
    """
    made: dict[str, HPSpace] = {}

    def whole(name: str) -> HPSpace:
        if name not in made:
            parameter = plain[name]
            if name in children and isinstance(parameter, ChoiceHP):
                under = [[whole(child) for child in names] for names in children[name]]
                parameter = ChoiceHP(name, parameter.choices, under, parameter.prior)
            made[name] = parameter
        return made[name]

    below = {child for under in children.values() for names in under for child in names}
    return [whole(name) for name in plain if name not in below]
