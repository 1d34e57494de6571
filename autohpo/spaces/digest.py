"""Digests of functions and objects by their code and value: the same in every process, whatever the hash seed."""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

MOST_PARTS = 200_000
"""The most parts of a value that a digest looks at: about a second."""

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented)})
"""Types whose ``repr`` is their value."""

_DRY = frozenset(
    f"__{name}__"
    for name in (
        *("annotations", "annotate", "annotate_func", "annotations_cache", "classdictcell", "dict", "doc", "module"),
        *("firstlineno", "qualname", "static_attributes", "weakref", "abstractmethods", "type_params", "parameters"),
        *("orig_bases", "match_args", "dataclass_params"),
    )
) | {"_abc_impl"}
"""Attributes of a class that say nothing of what it does."""


def digest_of(value: object, *, by_name: bool = False, with_state: bool = True) -> str | None:
    """Return a short string that two values share only when they do the same; None where there is none.

    Functions count by their code, constants, defaults and closures, with the functions and classes of their own module
    that they use, and with constants of it whose names are in capitals; partials, methods and objects by their parts.
    What stands in other modules counts by its name. Two versions of Python compile differently, so the digest of code
    begins with the version: digests with different beginnings cannot be compared, see :func:`are_comparable`.

    Args:
        value: A function, a class, or any object.
        by_name: Whether functions and classes that can be imported count by their names alone.
        with_state: Whether lists, dicts, sets and attributes of objects count; they change as a program runs.

    Example:
        >>> digest_of(lambda x: x + 1) == digest_of(lambda x: x + 1), digest_of(lambda x: x) == digest_of(lambda x: -x)
        (True, False)
    """
    try:
        digester = _Digester(getattr(value, "__module__", None), by_name, with_state)
        parts = digester.digest(value, is_root=True)
    except Exception:  # a user's __reduce__ and __getattr__ may raise anything; some objects have no value at all
        return None
    head = f"{_version()}:" if digester.has_code else ""
    return head + parts.hex()[:24]


def are_comparable(a: str, b: str) -> bool:
    """Return whether two digests can be compared: not those of code that two versions of Python made."""
    heads = [digest.rpartition(":")[0] for digest in (a, b)]
    return heads[0] == heads[1] or not all(heads)


def can_import(value: Any) -> bool:
    """Return whether the name of a function or class leads to it, so that the name says all."""
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "builtins")
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if found is None or not isinstance(name, str):
        return False
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _version() -> str:
    return f"{sys.implementation.cache_tag}{'-O' * sys.flags.optimize}"


class _Digester:
    """A walk over the parts of a value."""

    def __init__(self, module: object, by_name: bool, with_state: bool) -> None:
        self._home = module
        self._by_name, self._with_state = by_name, with_state
        self.has_code = False
        self._n_parts = 0
        self._open: dict[int, int] = {}  # what is being digested, and how deep
        self._done: dict[int, tuple[object, bytes]] = {}  # held, so that no other object gets the same id

    def digest(self, value: Any, is_root: bool = False) -> bytes:
        """Return the digest of a value."""
        if type(value) in PLAIN:
            return _hash(type(value).__name__, repr(value))
        key = id(value)
        if key in self._done:
            return self._done[key][1]
        if key in self._open:
            return _hash("above", str(len(self._open) - self._open[key]))
        self._n_parts += 1
        if self._n_parts > MOST_PARTS:
            raise ValueError("too many parts")
        self._open[key] = len(self._open)
        found = self._of(value, is_root)
        del self._open[key]
        self._done[key] = (value, found)
        return found

    def _of(self, value: Any, is_root: bool) -> bytes:
        if isinstance(value, (types.FunctionType, type)):
            if not is_root and self._counts_by_name(value):
                return _hash("name", _name(value))
            return self._function(value) if isinstance(value, types.FunctionType) else self._class(value)
        if isinstance(value, types.CodeType):
            return self._code(value, None)
        if isinstance(value, types.ModuleType):
            return _hash("module", value.__name__)
        if isinstance(value, functools.partial):
            return self._all("partial", [value.func, value.args, tuple(sorted(value.keywords.items()))])
        if isinstance(value, types.MethodType):
            return self._all("method", [value.__func__, value.__self__])
        if isinstance(value, (staticmethod, classmethod)):
            return self._all(type(value).__name__, [value.__func__])
        if isinstance(value, property):
            return self._all("property", [value.fget, value.fset, value.fdel])
        if isinstance(value, (types.BuiltinFunctionType, types.BuiltinMethodType)):
            owner = value.__self__
            of = None if owner is None or isinstance(owner, types.ModuleType) else owner
            return self._all("builtin", [_name(value), of])
        if isinstance(value, enum.Enum):
            return self._all("enum", [type(value), value.name])
        return self._container(value)

    def _container(self, value: Any) -> bytes:
        kind = type(value)
        if kind is tuple or (kind is list and self._with_state):
            if all(type(item) in PLAIN for item in value):  # long lists of numbers are common
                return _hash(kind.__name__, repr(value))
            return self._all(kind.__name__, value)
        if kind is frozenset or (kind is set and self._with_state):
            return _hash(kind.__name__, *sorted(map(self.digest, value)))
        if kind in (dict, types.MappingProxyType) and self._with_state:
            return _hash("dict", *sorted(self.digest(k) + self.digest(v) for k, v in value.items()))
        if isinstance(value, np.ndarray) and not value.dtype.hasobject and self._with_state:
            return _hash("array", value.dtype.str, str(value.shape), np.ascontiguousarray(value).tobytes())
        if isinstance(value, np.generic) and not value.dtype.hasobject:
            return _hash("number", value.dtype.str, value.tobytes())
        if isinstance(value, (types.CellType, types.MemberDescriptorType, types.GetSetDescriptorType)):
            return self._cell(value)
        inner = getattr(value, "__wrapped__", None)
        if callable(inner) and type(value).__module__ == "functools":
            return self._all("wrapper", [type(value).__name__, inner])
        return self._object(value)

    def _cell(self, value: Any) -> bytes:
        if not isinstance(value, types.CellType):
            return _hash("slot", value.__name__)
        try:
            held = value.cell_contents
        except ValueError:
            return _hash("empty cell")
        return self._all("cell", [held])

    def _counts_by_name(self, value: Any) -> bool:
        if not can_import(value):
            return False
        return self._by_name or value.__module__ not in (self._home, "__main__")

    def _function(self, value: types.FunctionType) -> bytes:
        used = [(name, value.__globals__[name]) for name in _names(value.__code__) if name in value.__globals__]
        shared = [(name, self.digest(item)) for name, item in used if self._is_followed(name, item, value)]
        return _hash(
            "function",
            self._code(value.__code__, value.__doc__),
            self.digest(value.__defaults__),
            self.digest(tuple(sorted((value.__kwdefaults__ or {}).items()))),
            *(self.digest(cell) for cell in value.__closure__ or ()),
            *(part for name, item in shared for part in (name, item)),
        )

    def _is_followed(self, name: str, item: Any, user: types.FunctionType) -> bool:
        """Return whether what a function uses under a global name belongs to what it does."""
        if isinstance(item, (types.FunctionType, type)):
            return item.__module__ == user.__module__
        return name.isupper() and (type(item) in PLAIN or (type(item) is tuple and all(type(i) in PLAIN for i in item)))

    def _code(self, code: types.CodeType, doc: str | None) -> bytes:
        self.has_code = True
        constants = list(code.co_consts)
        if doc is not None and constants and constants[0] == doc:
            constants[0] = None
        shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        table = getattr(code, "co_exceptiontable", b"")  # from Python 3.11 on
        return _hash("code", code.co_code, table, repr(shape), repr(names), *map(self.digest, constants))

    def _class(self, cls: type) -> bytes:
        body = {k: v for k, v in vars(cls).items() if k not in _DRY}
        if "__dataclass_fields__" in body:  # what a dataclass generates follows from its fields
            fields = body.pop("__dataclass_fields__")
            body["fields"] = tuple((f.name, f.default, f.default_factory) for f in fields.values())
        parts = [self.digest(k) + self.digest(v) for k, v in sorted(body.items())]
        return _hash("class", cls.__name__, *map(self.digest, cls.__bases__), *parts)

    def _object(self, value: Any) -> bytes:
        cls = type(value)
        if not self._with_state:
            return self._all("object", [cls])
        reduce = copyreg.dispatch_table.get(cls)
        reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(reduced, str):
            return _hash("name", f"{cls.__module__}.{reduced}")
        make, args, state, items, pairs = (*reduced, None, None, None)[:5]
        return self._all("object", [cls, make, args, state, tuple(items or ()), tuple(pairs or ())])

    def _all(self, kind: str, parts: Iterable[Any]) -> bytes:
        return _hash(kind, *map(self.digest, parts))


def _names(code: types.CodeType) -> list[str]:
    """Return the global names that code and the code inside it use, in the order of their mention."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(dict.fromkeys(_names(constant)))
    return list(names)


def _name(value: Callable[..., Any]) -> str:
    return f"{value.__module__}.{getattr(value, '__qualname__', value.__name__)}"


def _hash(*parts: str | bytes) -> bytes:
    """Return a hash of parts, each with its length: no two lists of parts run together to the same bytes."""
    made = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        made.update(len(data).to_bytes(8, "little"))
        made.update(data)
    return made.digest()
