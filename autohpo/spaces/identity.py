"""What makes a stored space the space of this program: names of values, their digests, and the classes of kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from autohpo.errors import SpaceError
from autohpo.spaces.digest import are_comparable

if TYPE_CHECKING:
    from autohpo.spaces.search_space import SearchSpace


def check_identity(space: SearchSpace) -> None:
    """Check that a store can tell the values of every parameter apart: it holds no more of them than their place.

    Raises:
        SpaceError: A value has no digest, two have the same name and the same digest, or parameters below choices lie
            too deep for a store.
    """
    if not _is_shallow(space.to_dict()):
        raise SpaceError(
            f"space: must be at most {MOST_LEVELS} lists and dicts deep to be kept; put fewer choices below each other"
        )
    for parameter in space.parameters:
        for values in _groups(parameter.to_dict()):
            seen: dict[tuple[Any, Any], int] = {}
            for i, item in enumerate(values):
                if "digest" not in item:
                    continue
                name, digest = item["opaque"], item["digest"]
                if digest is None:
                    raise SpaceError(f"{parameter.name}: values must have a repr or names, {_ADVICE}, got {name}")
                other = seen.setdefault((name, digest), i)
                if other != i:
                    rule = f"values must differ in their names or what they do, {_ADVICE}"
                    raise SpaceError(f"{parameter.name}: {rule}, got {name} twice")


_ADVICE = "for a store to tell them apart (give names=[...], or their class a __repr__)"


MOST_LEVELS = 390
"""How deep the description of a space may be, so that a store that holds it can be read."""


def _is_shallow(data: Any) -> bool:
    level = [data]
    for _ in range(MOST_LEVELS):
        lists = [[*item.values()] if isinstance(item, dict) else item for item in level]
        level = [below for items in lists for below in items if isinstance(below, (dict, list))]
        if not level:
            return True
    return False


def _groups(data: Any) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the values that JSON cannot hold, those of each list together."""
    if isinstance(data, list):
        yield [item for item in data if isinstance(item, dict) and "opaque" in item]
        for item in data:
            yield from _groups(item)
    elif isinstance(data, dict):
        if "dict" in data:
            yield [v for _, v in data["dict"] if isinstance(v, dict) and "opaque" in v]
        yield [item for item in data.values() if isinstance(item, dict) and "opaque" in item]
        for key, item in data.items():
            if key not in ("opaque", "children"):  # children are parameters of their own
                yield from _groups(item)


def as_kept(given: Any, kept: Any) -> Any:
    """Return the description of a space, without what the description in a store cannot be compared with.

    Stores of older releases have no digests and no classes of kinds; another version of Python makes other digests; the
    module of a program that is run goes by another name when it is imported.

    Args:
        given: The description.
        kept: The description in the store.
    """
    if isinstance(given, list) and isinstance(kept, list):
        return [as_kept(a, b) for a, b in zip(given, kept, strict=False)] + given[len(kept) :]
    if not (isinstance(given, dict) and isinstance(kept, dict)):
        return given
    data = {key: as_kept(value, kept.get(key)) for key, value in given.items()}
    if "opaque" in data and "digest" in data:
        if "digest" not in kept:
            del data["digest"]
        elif _both_strings(data["digest"], kept["digest"]) and not are_comparable(data["digest"], kept["digest"]):
            data["digest"] = kept["digest"]
    if "kind" in data and "class" in data:
        if "class" not in kept:
            del data["class"]
        elif _both_strings(data["class"], kept["class"]) and _is_same_class(data["class"], kept["class"]):
            data["class"] = kept["class"]
    return data


def _both_strings(a: object, b: object) -> bool:
    return isinstance(a, str) and isinstance(b, str)


def _is_same_class(a: str, b: str) -> bool:
    """Return whether two names may be of one class: `__main__` may be any module."""
    main = [name for name in (a, b) if name.startswith(("__main__.", "__mp_main__."))]
    return bool(main) and a.rpartition(".")[2] == b.rpartition(".")[2]
