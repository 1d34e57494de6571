"""The optimizer that CmaEsSampler keeps with trials, as JSON: a log holds no pickles, and none is loaded from one."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from autohpo.errors import OptionError, shown

__all__ = ["as_json", "as_theirs"]

_PART = "optimizer:"  # within the names of what it keeps, before the number of the piece
_KINDS = ("CMA", "SepCMA", "CMAwM")
_DTYPES = ("<f8", "<i8", "|b1")


def as_json(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sampler has just written to a trial, with its optimizer in JSON types."""
    pieces = {name: value for name, value in attributes.items() if _PART in name}
    rest = {name: value for name, value in attributes.items() if name not in pieces}
    if not pieces:
        return rest
    prefix = next(iter(pieces)).rpartition(":")[0]
    text = "".join(pieces[f"{prefix}:{i}"] for i in range(len(pieces)))
    return {**rest, prefix: _coded(pickle.loads(bytes.fromhex(text)))}  # written in this process


def as_theirs(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sampler expects at a trial, for what :func:`as_json` returned.

    Raises:
        OptionError: It is nothing that :func:`as_json` returns.
    """
    found = dict(attributes)
    for name, value in attributes.items():
        if isinstance(value, Mapping) and name.endswith(_PART[:-1]):
            del found[name]
            found[f"{name}:0"] = pickle.dumps(_decoded(value)).hex()
    return found


def _coded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        flat = np.ascontiguousarray(value)
        flat = flat.astype("|b1" if flat.dtype == bool else "<i8" if flat.dtype.kind in "iu" else "<f8")
        return {"array": base64.b64encode(flat.tobytes()).decode(), "dtype": flat.dtype.str, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is float:
        return {"float": value.hex()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if type(value).__name__ in _KINDS:
        getstate = getattr(value, "__getstate__", None)
        state = dict(vars(value)) if getstate is None else getstate()
        state = {name: one for name, one in state.items() if name != "_rng"}
        if "_funhist_values" in state:  # of a stop rule that the sampler does not use; partly memory as it was found
            state["_funhist_values"] = np.zeros_like(state["_funhist_values"])
        return {"kind": type(value).__name__, "state": {name: _coded(one) for name, one in state.items()}}
    raise OptionError(f"optuna:cmaes: cannot keep {shown(value)} of this version of cmaes in the log")


def _decoded(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    if "float" in data:
        return float.fromhex(data["float"])
    if data.get("dtype") in _DTYPES:
        flat = np.frombuffer(base64.b64decode(data["array"]), dtype=data["dtype"])
        return flat.reshape(data["shape"]).copy()
    if data.get("kind") in _KINDS:
        import cmaes

        cls = getattr(cmaes, data["kind"])
        made = cls.__new__(cls)
        state = {name: _decoded(one) for name, one in data["state"].items()}
        setstate = getattr(made, "__setstate__", None)
        vars(made).update(state) if setstate is None else setstate(state)
        return made
    raise OptionError(f"optuna:cmaes: the log must hold what the sampler wrote, got {shown(data)}")
