"""Checks of a command against a search space, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autohpo.commands.template import RESERVED, WHOLE, Placeholder
from autohpo.commands.words import check_value
from autohpo.errors import OptionError
from autohpo.other_names import did_you_mean
from autohpo.spaces import SearchSpace


def check_command(
    command: Iterable[Placeholder],
    others: Iterable[Placeholder],
    space: SearchSpace,
    *,
    more: Sequence[str],
    uses_env: bool,
) -> None:
    """Check that a command uses the parameters of a space, and no others.

    Args:
        command: The placeholders of the command.
        others: The placeholders of its variables and files, where one without a value does no harm.
        space: The space.
        more: Names that configurations have beside those of the space.
        uses_env: Whether the command reads its configuration from the environment.

    Raises:
        OptionError: A placeholder is unknown, a parameter is not used, or one that is not always active has no form
            for that; or a value cannot be written.
    """
    names = (*space.names, *more)
    used: set[str] = set()
    for placeholder in (*command, *others):
        used.add(_meaning(placeholder, names))
    for placeholder in command:
        name = _meaning(placeholder, names)
        if not placeholder.has_flag and name in space.names and _may_be_missing(space, name):
            raise OptionError(
                f"command: {placeholder.text} has no value where {name} is not active; write {{--{name}}}, which is "
                f"nothing then, or {{--flag:{name}}} for a flag of another name, or {{args}} for all parameters"
            )
    is_handed_over = uses_env or used & set(WHOLE)
    unused = [name for name in space.names if name not in used]
    if unused and not is_handed_over:
        first = unused[0]
        plain = "" if _may_be_missing(space, first) else f"{{{first}}} or "
        raise OptionError(
            f"command: does not use {', '.join(unused)}; write {plain}{{--{first}}} for a parameter, "
            "{args} for all, or give uses_env=True where the command reads AUTOHPO_CONFIG"
        )
    for parameter in space:
        for value in getattr(parameter, "_listed", ()):
            check_value(parameter.name, value)


def _meaning(placeholder: Placeholder, names: Sequence[str]) -> str:
    """Return the one name that a placeholder means."""
    meant = [name for _, name in placeholder.known({*names, *RESERVED})]
    if not meant:
        wanted = placeholder.names[-1]
        by_plain = {name.casefold().replace("-", "_"): name for name in (*names, *RESERVED)}
        plain = wanted.casefold().replace("-", "_")
        hint = f"; did you mean {by_plain[plain]!r}?" if plain in by_plain else did_you_mean(wanted, by_plain.values())
        if hint == ".":
            hint = f"; the parameters are {', '.join(names)}"
        raise OptionError(
            f"command: {placeholder.text} is no parameter of the space, and no placeholder of its own{hint}"
        )
    if len(meant) > 1 or (meant[0] in RESERVED and meant[0] in names):
        what = f"{meant[0]} and {meant[1]}" if len(meant) > 1 else f"a parameter and the placeholder {{{meant[0]}}}"
        raise OptionError(
            f"command: {placeholder.text} may mean {what}; write {{--flag=:name}}, or rename the parameter"
        )
    return meant[0]


def _may_be_missing(space: SearchSpace, name: str) -> bool:
    """Whether configurations may lack a parameter; a list whose length is decided elsewhere is only shorter."""
    if all(name != root.name for root in space.roots) or name in space.formulas:
        return True
    return any(_may_be_missing(space, decider) for decider in space[name].refers_to)
