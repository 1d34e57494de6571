"""AutoGL's dict form of a search space: read as SearchSpace itself reads it, and written without loss."""

from __future__ import annotations

from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, ListHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace
from autohpo.spaces.autogl_form import AutoGLForm, FormulaCut, copied, read_item

__all__ = ["FormulaCut", "from_autogl", "to_autogl"]


def from_autogl(space: AutoGLForm) -> SearchSpace:
    """Return the search space that AutoGL's dict form describes: the same as ``SearchSpace(space)``.

    Parameters of ``{"trainer": [...], "encoder": [...]}`` are named "trainer:lr"; those of a plain list keep their
    names. DISCRETE becomes an :class:`OrdinalHP` where its points are rising numbers, else a :class:`ChoiceHP`. Points
    and a cutFunc given as a string are read as formulas (see :class:`Expression`), never executed; a point that is not
    a formula stays a string. A cutPara is looked for in its own module first, then in the others.

    Args:
        space: A list of dicts, or a dict of such lists by the name of the module; it is not changed.

    Raises:
        SpaceError: A parameter breaks a rule; the error names both.

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
    """Return the dict form of a search space that AutoGL reads, equal to the form that the space was read from.

    It is a dict by module where the names have modules ("trainer:lr"), else a list.

    Raises:
        SpaceError: AutoGL's form has no such thing: conditions, constraints, priors, steps, permutations, ordered
            values that are not rising numbers, or names with a module beside names without.
    """
    if space.constraints:
        raise SpaceError(f"constraints: must be none in AutoGL's form, got {space.constraints[0]}")
    for name, formula in space.formulas.items():
        raise SpaceError(f"{name}: must have no condition in AutoGL's form, got {shown(formula)}")
    modules = space.modules
    if modules is None:
        with_module = [name.partition(":")[0] for name in space.names if ":" in name]
        if with_module and len(with_module) < len(space.names):
            plain = next(name for name in space.names if ":" not in name)
            raise SpaceError(
                f"{plain}: name must have a module as others have, such as 'module:{plain}', got {shown(plain)}"
            )
        modules = tuple(dict.fromkeys(with_module))
    if not modules:
        return [_item(parameter, None, space) for parameter in space.roots]
    written: dict[str, list[dict[str, Any]]] = {module: [] for module in modules}
    for parameter in space.roots:
        module = parameter.name.partition(":")[0]
        written.setdefault(module, []).append(_item(parameter, module, space))
    return written


def _item(parameter: HPSpace, module: str | None, space: SearchSpace) -> dict[str, Any]:
    """Return the dict of a parameter: a copy of the dict that it was read from, if it was."""
    name = parameter.name
    if name in space.autogl_items:
        return copied(space.autogl_items[name])
    return {"parameterName": name if module is None else name.partition(":")[2]} | _written(parameter, module)


def _written(parameter: HPSpace, module: str | None) -> dict[str, Any]:
    """Return the dict of a parameter without its name."""
    name = parameter.name
    if any(getattr(parameter, extra, None) for extra in ("prior", "children", "step")):
        raise SpaceError(f"{name}: must have no prior, children or step in AutoGL's form, got {parameter}")
    match parameter:
        case RangeHP() | LogRangeHP():
            return {"type": "INTEGER" if parameter.is_int else "DOUBLE"} | _ends(parameter)
        case ChoiceHP():
            return {"type": "CATEGORICAL", "feasiblePoints": list(parameter.choices)}
        case FixedHP():
            return {"type": "FIXED", "value": parameter.value}
        case ListHP():
            return _written_list(parameter, module)
        case OrdinalHP() if all(type(value) in (int, float) for value in parameter.values):
            item = {"type": "DISCRETE", "feasiblePoints": ",".join(map(repr, parameter.values))}
            if read_item(item | {"parameterName": name}, None, ()) == parameter:
                return item
    rule = "must be a range, a choice, a list, fixed, or an order of rising numbers in AutoGL's form"
    raise SpaceError(f"{name}: {rule}, got {parameter}")


def _ends(parameter: RangeHP | LogRangeHP | FixedHP) -> dict[str, Any]:
    """Return the ends of a range, or of a fixed number, and the scale between them."""
    if isinstance(parameter, FixedHP):
        return {"minValue": parameter.value, "maxValue": parameter.value, "scalingType": None}
    scaling = "LOG" if isinstance(parameter, LogRangeHP) else "LINEAR"
    return {"minValue": parameter.low, "maxValue": parameter.high, "scalingType": scaling}


def _written_list(parameter: ListHP, module: str | None) -> dict[str, Any]:
    """Return the dict of a list without its name."""
    name, length, cut = parameter.name, parameter.length, {}
    if not isinstance(length, int):
        if not parameter.refers_to:
            raise SpaceError(f"{name}: length must refer to another parameter, or be a number, got {shown(length)}")
        names = tuple(other.removeprefix(f"{module}:") for other in parameter.refers_to)
        function = FormulaCut(length, parameter.refers_to) if isinstance(length, str) else length.function
        cut = {"cutPara": names, "cutFunc": function}
    n = len(parameter.items)
    if isinstance(parameter.item, ChoiceHP):
        points = _written(parameter.item, None)["feasiblePoints"]
        return {"type": "CATEGORICAL_LIST", "length": n} | cut | {"feasiblePoints": points}
    ends = [_ends(_number(parameter, item)) for item in parameter.items]
    lows, highs = [end["minValue"] for end in ends], [end["maxValue"] for end in ends]
    types = {"INTEGER" if type(end) is int else "DOUBLE" for end in lows + highs}
    scalings = {end["scalingType"] for end in ends} - {None}
    if len(types) > 1 or len(scalings) > 1:
        rule = "entries must be all ints or all floats, on one scale, in AutoGL's form"
        raise SpaceError(f"{name}: {rule}, got {parameter}")
    bounds = {"minValue": lows, "maxValue": highs}
    if isinstance(parameter.item, HPSpace):
        bounds = {"minValue": lows[0], "maxValue": highs[0]}
    scaling = {"scalingType": next(iter(scalings), "LINEAR")}
    return {"type": "NUMERICAL_LIST", "numericalType": types.pop(), "length": n} | cut | bounds | scaling


def _number(parameter: ListHP, item: HPSpace) -> RangeHP | LogRangeHP | FixedHP:
    """Return the parameter of an entry, if it is a range or a fixed number."""
    _written(item, None)  # for its errors: a prior, children or a step
    if isinstance(item, (RangeHP, LogRangeHP)) or (isinstance(item, FixedHP) and type(item.value) in (int, float)):
        return item
    raise SpaceError(f"{parameter.name}: entries must be ranges, or one ChoiceHP, in AutoGL's form, got {item}")
