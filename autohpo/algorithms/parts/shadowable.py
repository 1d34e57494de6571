"""Shadowable: a property that an attribute of the same name may cover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Shadowable(Generic[T]):
    """A property that an attribute of the same name may cover: AutoGL's hooks keep what they like in ``self``."""

    def __init__(self, get: Callable[[Any], T]) -> None:
        self._get = get
        self.__doc__ = get.__doc__

    @overload
    def __get__(self, optimizer: None, owner: type) -> Shadowable[T]: ...
    @overload
    def __get__(self, optimizer: object, owner: type) -> T: ...
    def __get__(self, optimizer: object, owner: type) -> T | Shadowable[T]:
        return self if optimizer is None else self._get(optimizer)
