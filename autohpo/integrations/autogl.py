"""AutoGL's dict form of a search space: read as SearchSpace itself reads it, and written without loss."""

from __future__ import annotations

from typing import Any

from autohpo.errors import SpaceError
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, ListHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace
from autohpo.spaces.autogl_form import AutoGLForm, FormulaCut, copied, read_item

__all__ = ["FormulaCut", "from_autogl", "to_autogl"]


def from_autogl(space: AutoGLForm) -> SearchSpace:
    """The search space that AutoGL's dict form describes: :class:`SearchSpace` takes the form as it stands, too.

    Parameters of ``{"trainer": [...], "encoder": [...]}`` are named "trainer:lr"; those of a plain list keep their
    names. DISCRETE becomes an :class:`OrdinalHP` where its points are rising numbers, else a :class:`ChoiceHP`. Points
    and a cutFunc given as text are read as formulas (see :class:`Expression`), never executed; a point that is none
    stays text. A cutPara is looked for in its own module first, then in the others.

    Args:
        space: Left as it is.

    Raises:
        SpaceError: A parameter breaks a rule; the text names both.

    Example:
        >>> space = from_autogl({"trainer": [{"parameterName": "lr", "type": "DOUBLE", "minValue": 1e-4,
        ...                                   "maxValue": 1e-1, "scalingType": "LOG"}], "decoder": []})
        >>> space
        SearchSpace([LogRangeHP(name='trainer:lr', low=0.0001, high=0.1)])
        >>> sorted(to_autogl(space))
        ['decoder', 'trainer']
    """
    return SearchSpace(space)


def to_autogl(space: SearchSpace) -> dict[str, list[dict[str, Any]]] | list[dict[str, Any]]:
    """AutoGL's dict form of a search space: a new one, equal to the one that it was read from, if it was.

    A dict by module where the names have one ("trainer:lr"), else a list.

    Raises:
        SpaceError: AutoGL cannot say it: conditions, constraints, priors, steps, permutations, ordered values that are
            no rising numbers, or names with a module beside names without one.
    """
    if space.constraints:
        raise SpaceError(f"constraints: AutoGL's form has none, got {space.constraints[0]}")
    for name in space.formulas:
        raise SpaceError(f"{name}: AutoGL's form has no conditions, got {space.formulas[name]!r}")
    modules = space.modules
    if modules is None:
        with_module = [name.partition(":")[0] for name in space.names if ":" in name]
        if with_module and len(with_module) < len(space.names):
            plain = next(name for name in space.names if ":" not in name)
            raise SpaceError(f"{plain}: must be named 'module:{plain}', as other parameters are")
        modules = tuple(dict.fromkeys(with_module))
    if not modules:
        return [_spelled(hp, None, space) for hp in space.roots]
    written: dict[str, list[dict[str, Any]]] = {module: [] for module in modules}
    for hp in space.roots:
        module = hp.name.partition(":")[0]
        written.setdefault(module, []).append(_spelled(hp, module, space))
    return written


def _spelled(hp: HPSpace, module: str | None, space: SearchSpace) -> dict[str, Any]:
    """The dict of a parameter: as it was once written, where it was."""
    if hp.name in space.autogl_items:
        return copied(space.autogl_items[hp.name])
    return {"parameterName": hp.name if module is None else hp.name.partition(":")[2]} | _written(hp, module)


def _written(hp: HPSpace, module: str | None) -> dict[str, Any]:
    """What a dict says of a parameter, besides its name."""
    extras: list[Any] = [getattr(hp, name, None) for name in ("prior", "children", "step")]
    if any(extras):
        raise SpaceError(f"{hp.name}: AutoGL's form has no priors, children or steps, got {hp}")
    match hp:
        case RangeHP() | LogRangeHP():
            return {"type": "INTEGER" if hp.is_int else "DOUBLE"} | _ends(hp)
        case ChoiceHP():
            return {"type": "CATEGORICAL", "feasiblePoints": list(hp.choices)}
        case FixedHP():
            return {"type": "FIXED", "value": hp.value}
        case ListHP():
            return _written_list(hp, module)
        case OrdinalHP() if all(type(value) in (int, float) for value in hp.values):
            item = {"parameterName": "-", "type": "DISCRETE", "feasiblePoints": ",".join(map(repr, hp.values))}
            if read_item(item, None, ()) == OrdinalHP("-", hp.values):
                return {"type": "DISCRETE", "feasiblePoints": item["feasiblePoints"]}
    raise SpaceError(f"{hp.name}: AutoGL's form has no {type(hp).__name__} but of rising numbers, got {hp}")


def _ends(hp: HPSpace) -> dict[str, Any]:
    """The ends of a range, or of a fixed number, and the scale between them."""
    if isinstance(hp, FixedHP):
        return {"minValue": hp.value, "maxValue": hp.value, "scalingType": None}
    assert isinstance(hp, (RangeHP, LogRangeHP))  # for the type checker
    scaling = "LOG" if isinstance(hp, LogRangeHP) else "LINEAR"
    return {"minValue": hp.low, "maxValue": hp.high, "scalingType": scaling}


def _written_list(hp: ListHP, module: str | None) -> dict[str, Any]:
    """What a dict says of a list."""
    cut: dict[str, Any] = {}
    if not isinstance(hp.length, int):
        if not hp.refers_to:
            raise SpaceError(f"{hp.name}: length must refer to another parameter, or be a number, got {hp.length!r}")
        names = tuple(name.removeprefix(f"{module}:") for name in hp.refers_to)
        function = FormulaCut(hp.length, hp.refers_to) if isinstance(hp.length, str) else hp.length.function
        cut = {"cutPara": names, "cutFunc": function}
    said = [_written(item, None) for item in hp.items]
    if isinstance(hp.item, ChoiceHP):
        return {"type": "CATEGORICAL_LIST", "length": len(said)} | cut | {"feasiblePoints": list(hp.item.choices)}
    kinds = {"INTEGER" if type(end) is int else "DOUBLE" for one in hp.items for end in _bounds(hp, one)}
    ends = [_ends(one) for one in hp.items]
    scalings = {one["scalingType"] for one in ends} - {None}
    if len(kinds) > 1 or len(scalings) > 1:
        raise SpaceError(f"{hp.name}: all entries must be ints or all floats, on one scale, in AutoGL's form, got {hp}")
    lows, highs = [one["minValue"] for one in ends], [one["maxValue"] for one in ends]
    bounds = {"minValue": lows, "maxValue": highs}
    if isinstance(hp.item, HPSpace):
        bounds = {"minValue": lows[0], "maxValue": highs[0]}
    scaling = {"scalingType": next(iter(scalings), "LINEAR")}
    return {"type": "NUMERICAL_LIST", "numericalType": kinds.pop(), "length": len(ends)} | cut | bounds | scaling


def _bounds(hp: ListHP, item: HPSpace) -> tuple[Any, Any]:
    """The ends of an entry."""
    is_number = isinstance(item, FixedHP) and type(item.value) in (int, float)
    if not (is_number or isinstance(item, (RangeHP, LogRangeHP))):
        raise SpaceError(f"{hp.name}: entries must be ranges, or one ChoiceHP, in AutoGL's form, got {item}")
    ends = _ends(item)
    return ends["minValue"], ends["maxValue"]
