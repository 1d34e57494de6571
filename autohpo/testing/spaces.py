"""The conformance checks of parameters: whether a kind of your own can be sampled, encoded, and kept in a log."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, OrdinalHP
from autohpo.spaces.tagged import is_same
from autohpo.testing.checks import BoundCheck, Check, CheckResult, bind, expect, run_checks

N_POINTS = 200


def _points(parameter: HPSpace) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return ``(n, width)`` points: both ends of the unit cube, one step beside them, and points drawn inside."""
    inside = np.random.default_rng(0).random((N_POINTS, parameter.width))
    ends = [np.full((1, parameter.width), unit) for unit in (0.0, 1.0, 2.0**-53, 1.0 - 2.0**-53, 0.5)]
    return np.concatenate([*ends, inside])


def declares_its_width(parameter: HPSpace) -> None:
    """`width`, `levels` and `n_values` are counts, and `encode` gives `width` columns: models allot columns by it."""
    for name in ("width", "levels"):
        value = getattr(parameter, name)
        expect(type(value) is int and value >= 0, f"{name} to be an int of at least 0", repr(value))
    n = parameter.n_values
    expect(n is None or (type(n) is int and n >= 1), "n_values to be None or an int of at least 1", repr(n))
    points = np.asarray(parameter.encode(parameter.decode(_points(parameter))))
    wanted = (len(_points(parameter)), parameter.width)
    expect(points.shape == wanted, f"encode to give an array of shape {wanted}", points.shape)


def decodes_to_legal_values(parameter: HPSpace) -> None:
    """Every point of the unit cube, both ends included, decodes to a legal value: that is how values are drawn."""
    points = _points(parameter)
    values = parameter.decode(points)
    expect(len(values) == len(points), f"{len(points)} values", len(values))
    for point, value in zip(points, values, strict=True):
        expect(parameter.contains(value) is True, f"a legal value at {point}", repr(value))
    expect(parameter.decode(points[:0]) == [], "no value for no points", parameter.decode(points[:0]))


def decodes_to_plain_types(parameter: HPSpace) -> None:
    """Values are plain Python types, or the user's own objects: numpy's types break JSON and the user's checks."""
    for value in parameter.decode(_points(parameter)):
        kind = type(value)
        given: tuple[Any, ...] | None = None
        match parameter:
            case ChoiceHP(choices=values) | OrdinalHP(values=values):
                given = values
            case FixedHP():
                given = (parameter.value,)
        if given is not None:
            expect(any(value is item for item in given), "one of the very objects given", repr(value))
        else:
            expect(kind.__module__ != "numpy", "a value of a plain Python type", f"{kind.__module__}.{kind.__name__}")


def encodes_into_the_unit_cube(parameter: HPSpace) -> None:
    """Legal values are encoded as points in the unit cube: models know no other points."""
    values = parameter.decode(_points(parameter))
    for value, point in zip(values, np.asarray(parameter.encode(values), dtype=float), strict=True):
        expect(bool(((point >= 0) & (point <= 1)).all()), f"a point in [0, 1] for {value!r}", point)


def decodes_what_it_encodes(parameter: HPSpace) -> None:
    """A value that is encoded and decoded again is the same value; a float may differ by rounding."""
    values = parameter.decode(_points(parameter))
    for value, again in zip(values, parameter.decode(np.asarray(parameter.encode(values), dtype=float)), strict=True):
        is_close = parameter.n_values is None and _is_close(value, again, values)
        expect(is_close or is_same(value, again), f"{value!r} to come back", repr(again))


def _is_close(value: Any, again: Any, values: list[Any]) -> bool:
    """Return whether a float is off by rounding at most: 2**-40 of the largest, a thousand times a few operations.

    In a list each entry is compared with the entries at its index.
    """
    if type(value) is list and type(again) is list and len(value) == len(again):
        columns = [list(column) for column in zip(*values, strict=True)]
        return all(is_same(a, b) or _is_close(a, b, c) for a, b, c in zip(value, again, columns, strict=True))
    if type(value) is not float or type(again) is not float:
        return False
    return abs(value - again) <= float(max(abs(v) for v in values) * 2.0**-40)


def rejects_illegal_values(parameter: HPSpace) -> None:
    """`contains` returns False for odd values, and raises nothing: it judges what users and plug-ins hand in."""
    legal = parameter.decode(_points(parameter))
    for odd in (object(), {"no": "value"}, [object()], "\0 no value", complex(1, 1), float("nan"), np.array([1, 2])):
        answer, wanted = parameter.contains(odd), any(is_same(odd, value) for value in legal)
        expect(answer is wanted, f"contains({odd!r}) to be {wanted}", repr(answer))


def keeps_values_in_json(parameter: HPSpace) -> None:
    """A value goes through JSON and comes back the same: the log of a run holds nothing but JSON."""
    for value in parameter.decode(_points(parameter)):
        text = json.dumps(parameter.to_json(value), allow_nan=False)
        again = parameter.from_json(json.loads(text))
        expect(is_same(value, again), f"{value!r} to come back from {text}", repr(again))


def keeps_itself_in_json(parameter: HPSpace) -> None:
    """The parameter goes through JSON and comes back equal, so that a stored run can be read without its program."""
    data = parameter.to_dict()
    text = json.dumps(data, allow_nan=False)
    if '"opaque"' in text:  # values that JSON cannot hold are compared by name only, and that is documented
        return
    again = HPSpace.from_dict(json.loads(text))
    expect(again == parameter, f"a parameter equal to {data}", again.to_dict())
    expect(hash(again) == hash(parameter), "equal parameters to have equal hashes", "different ones")
    points = _points(parameter)
    expect(repr(again.decode(points)) == repr(parameter.decode(points)), "the same values from it", "others")


def counts_its_values(parameter: HPSpace) -> None:
    """`n_values` is how many values there are, each reached from the unit cube; a finite search ends by it."""
    n = parameter.n_values
    if n is None or n > 1000:
        return
    edges = parameter.edges  # cells may be very short
    units = (np.linspace(0.0, 1.0, 20 * n + 1) if edges is None else (edges[1:] + edges[:-1]) / 2)[:, None]
    reached = _distinct(parameter.decode(np.repeat(units, parameter.width, axis=1)))
    expect(len(reached) <= n, f"at most n_values = {n} values", len(reached))
    if parameter.width <= 1 and n <= 20:
        expect(len(reached) == n, f"all n_values = {n} values to be reached from the unit interval", len(reached))


def keeps_to_its_cells(parameter: HPSpace) -> None:
    """`edges`, where given, are the ends of the values' cells: models of densities sum over them."""
    if parameter.edges is None or parameter.width != 1:
        return
    edges = np.asarray(parameter.edges, dtype=float)
    n = parameter.n_values or 0
    expect(edges.shape == (n + 1,), f"{n} values to have as many cells", edges.shape)
    rises = edges[0] == 0 and edges[-1] == 1 and bool((np.diff(edges) > 0).all())
    expect(rises, "edges that rise from 0 to 1", edges)
    middles = (edges[1:] + edges[:-1]) / 2
    values = parameter.decode(middles[:, None])
    codes = np.asarray(parameter.encode(values), dtype=float)[:, 0]
    is_middle = bool(np.allclose(codes, middles, rtol=0, atol=1e-12))
    expect(is_middle, "every value to be encoded as its cell's middle", codes)
    near = np.diff(edges) * 0.02  # integers on a log scale are off by up to a hundredth of a cell
    for units in (edges[:-1] + near, edges[1:] - near):
        again = parameter.decode(units[:, None])
        expect(all(map(is_same, values, again)), f"the values of the cells, {values}, at {units}", again)


def has_a_grid(parameter: HPSpace) -> None:
    """`grid(steps)` gives legal values, none twice: all where they are few or unordered, else at most `steps`."""
    n = parameter.n_values
    for steps in (2, 3, 7):
        values = parameter.grid(steps)
        for value in values:
            expect(parameter.contains(value) is True, f"a legal value in grid({steps})", repr(value))
        expect(len(_distinct(values)) == len(values), f"no value twice in grid({steps})", values)
        if n is not None and (parameter.levels or n <= steps):
            expect(len(values) == n, f"all {n} values in grid({steps})", values)
        else:
            expect(1 <= len(values) <= steps, f"1 to {steps} values in grid({steps})", values)


def _distinct(values: list[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        if not any(is_same(value, other) for other in distinct):
            distinct.append(value)
    return distinct


def draws_no_randomness(parameter: HPSpace) -> None:
    """Decoding is a function of its argument, point by point: equal points give equal values, alone or together."""
    points = _points(parameter)
    together, again = parameter.decode(points.copy()), parameter.decode(points.copy())
    alone = [parameter.decode(points[i : i + 1])[0] for i in range(len(points))]
    for a, b, c in zip(together, again, alone, strict=True):
        expect(is_same(a, b) and is_same(a, c), f"{a!r} again from the same point", f"{b!r} and, alone, {c!r}")
    kept = points.copy()
    parameter.decode(points)
    expect(bool((points == kept).all()), "decode to leave its points alone", "changed points")


SPACE_CHECKS: tuple[Check, ...] = tuple(
    Check(check)
    for check in (
        declares_its_width,
        decodes_to_legal_values,
        decodes_to_plain_types,
        encodes_into_the_unit_cube,
        decodes_what_it_encodes,
        rejects_illegal_values,
        keeps_values_in_json,
        keeps_itself_in_json,
        counts_its_values,
        keeps_to_its_cells,
        has_a_grid,
        draws_no_randomness,
    )
)
"""Every check of a parameter, in the order in which they run; each takes an HPSpace."""


def check_space(parameter: HPSpace) -> list[CheckResult]:
    """Run every check of a parameter, and return how each ended.

    Args:
        parameter: A parameter of the kind to check; check a kind with several: narrow, wide, of a single value.

    Raises:
        ConformanceError: Some checks failed; it names each, with what was wanted and what was got.

    Example:
        >>> from autohpo import LogRangeHP
        >>> all(result.state == "passed" for result in check_space(LogRangeHP("lr", 1e-4, 1e-1)))
        True
    """
    return run_checks(f"{type(parameter).__name__} {parameter.name!r}", SPACE_CHECKS, parameter)


def space_checks(parameter: HPSpace) -> list[BoundCheck]:
    """Return the checks of a parameter, to run one by one, as :func:`autohpo.testing.optimizer_checks` does."""
    return bind(SPACE_CHECKS, parameter)
