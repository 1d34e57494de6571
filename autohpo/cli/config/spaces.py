"""Search spaces as command lines change them: a parameter as one word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from autohpo.cli.arguments import UsageError
from autohpo.cli.config.values import flow_value
from autohpo.errors import SpaceError, shown
from autohpo.spaces import SearchSpace
from autohpo.spaces.files.reading import KEYS, SpaceReader
from autohpo.spaces.files.words import as_number

_RANGE = re.compile(r"\s*([^,\s]+?)\s*\.\.\s*([^,\s]+)\s*((?:,[^,]*)*)")


def with_changes(space: SearchSpace, changes: Sequence[tuple[str, str]]) -> SearchSpace:
    """Return a search space with parameters that the command line changes or adds.

    Args:
        space: The space.
        changes: Name and text of each; see :func:`shell_spec`.

    Raises:
        UsageError: A text is no parameter.
        SpaceError: The parameter breaks a rule, or is one that stands below a choice.
    """
    if not changes:
        return space
    roots = {parameter.name: parameter for parameter in space.roots}
    formulas = dict(space.formulas)
    for name, text in changes:
        if name not in roots and name in space.names:
            raise SpaceError(f"{name}: stands below a choice, so change it in the file, or its choice as a whole")
        reader = SpaceReader()
        roots[name] = reader.parameter(name, shell_spec(name, text), 0)
        formulas.update(reader.conditions)
    return SearchSpace(list(roots.values()), conditions=formulas, constraints=space.constraints)


def shell_spec(name: str, text: str) -> Any:
    """Return what a parameter on the command line may be, as a file would have it.

    ``1e-4..0.1,log`` is a range, ``16..256,step=16`` another one, ``adam,sgd`` a choice, ``0.9`` a value; all that
    begins with a bracket is read as YAML.

    Args:
        name: The name of the parameter.
        text: The text behind the equals sign.

    Raises:
        UsageError: It is none of these.
    """
    flag = f"--param {name}"
    found = _RANGE.fullmatch(text)
    if text[:1] in ("{", "[", '"', "'"):
        return flow_value(flag, text)
    if found is not None and "/" not in text:
        ends = found.groups()[:2]
        if not all(isinstance(as_number(end), (int, float)) for end in ends):
            raise UsageError(f"{flag}: a range has two numbers, such as 1e-4..0.1, got {shown(text)}")
        spec: dict[str, Any] = {"low": as_number(found[1]), "high": as_number(found[2])}
        for word in filter(None, (part.strip() for part in found[3].split(","))):
            key, equals, value = word.partition("=")
            if equals and key in KEYS["range"]:
                spec[key] = as_number(value)
            elif word == "log":
                spec["log"] = True
            elif word in ("int", "float"):
                spec["type"] = word
            else:
                raise UsageError(f"{flag}: behind a range may stand log, int, float and step=, got {shown(word)}")
        return spec
    return [flow_value(flag, part.strip()) for part in text.split(",")] if "," in text else flow_value(flag, text)
