"""Search spaces as files and command lines write them: a mapping from the name of each parameter to what it may be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.cli.arguments import UsageError
from autohpo.cli.config.documents import located, plain
from autohpo.cli.config.values import as_flag, as_number, flow_value
from autohpo.errors import SpaceError, shown
from autohpo.other_names import did_you_mean
from autohpo.spaces import (
    Belief,
    BetaPrior,
    ChoiceHP,
    FixedHP,
    HPSpace,
    LogRangeHP,
    NormalPrior,
    OrdinalHP,
    RangeHP,
    SearchSpace,
)
from autohpo.untrusted import reading

KEYS = {
    "range": ("low", "high", "log", "step", "type", "prior", "when"),
    "choice": ("choices", "ordered", "prior", "when"),
    "fixed value": ("value", "when"),
}
"""The keys of each kind of parameter."""

FORMS = "{low: 1e-4, high: 0.1, log: true}, [adam, sgd], {choices: {adam: {}, sgd: {...}}} or a value"
"""What a parameter may look like, for errors."""

MEANT = {
    "min": "low",
    "lower": "low",
    "minimum": "low",
    "minvalue": "low",
    "from": "low",
    "start": "low",
    "max": "high",
    "upper": "high",
    "maximum": "high",
    "maxvalue": "high",
    "to": "high",
    "stop": "high",
    "scale": "log: true",
    "scaling": "log: true",
    "is_log": "log",
    "q": "step",
    "values": "choices",
    "categories": "choices",
    "options": "choices",
    "dtype": "type",
    "condition": "when",
    "if": "when",
    "default": "points at the top of the file",
    "children": "choices: {choice: {parameters}}",
}
"""What keys of other libraries are called here."""

MOST_DEPTH = 40
"""How deeply choices may lie in choices."""

_RANGE = re.compile(r"\s*([^,\s]+?)\s*\.\.\s*([^,\s]+)\s*((?:,[^,]*)*)")


def read_space(given: Any, constraints: Any = ()) -> SearchSpace:
    """Return the search space that was given: of a file, of a Python module, or parsed already.

    Args:
        given: A mapping from names to parameters; AutoGL's dicts; what ``SearchSpace.to_dict`` returns; parameters; or
            a search space.
        constraints: Formulas that a configuration must meet, such as "heads * dim <= 512".

    Raises:
        ConfigError: It breaks a rule, and stands in a file.
        SpaceError: It breaks a rule.
    """
    with reading("space"):
        return _read_space(given, constraints)


def _read_space(given: Any, constraints: Any) -> SearchSpace:
    formulas = [constraints] if isinstance(constraints, str) else constraints
    if not isinstance(formulas, (list, tuple)):
        raise SpaceError(
            f"constraints: must be a list of formulas such as 'heads * dim <= 512', got {shown(constraints)}"
        )
    if isinstance(given, Mapping) and _is_described(given.get("parameters")):
        return SearchSpace(SearchSpace.from_dict(given), constraints=formulas)
    if _is_described(given):
        return SearchSpace(SearchSpace.from_dict({"parameters": given}), constraints=formulas)
    if _is_autogl(given):
        return SearchSpace(_with_numbers(given), constraints=formulas)
    is_ready = isinstance(given, (SearchSpace, HPSpace)) or not isinstance(given, Mapping)
    if is_ready or any(isinstance(spec, HPSpace) for spec in given.values()):
        if isinstance(given, (str, bytes, int, float, type(None))):
            raise SpaceError(
                f"space: must be a mapping from names to parameters, got {shown(given)}; write lr: {FORMS}"
            )
        return SearchSpace(given, constraints=formulas)
    reader = _Reader()
    return SearchSpace(reader.parameters(given), conditions=reader.conditions, constraints=formulas)


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
        reader = _Reader()
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


def _is_described(given: Any) -> bool:
    """Whether something is a list of what ``to_dict`` returns of parameters."""
    return (
        isinstance(given, list) and bool(given) and all(isinstance(item, Mapping) and "kind" in item for item in given)
    )


def _is_autogl(given: Any) -> bool:
    """Whether something is AutoGL's list of dicts, or a mapping of such lists."""
    modules = list(given.values()) if isinstance(given, Mapping) else [given]
    lists = [items for items in modules if isinstance(items, list)]
    is_any = any(isinstance(item, Mapping) and "parameterName" in item for items in lists for item in items)
    return is_any and len(lists) == len(modules)


def _with_numbers(form: Any) -> Any:
    """Return AutoGL's form with numbers where they came as strings."""
    if isinstance(form, Mapping):
        return {module: _with_numbers(items) for module, items in form.items()}
    return [_numbered(item) if isinstance(item, Mapping) else item for item in form]


def _numbered(item: Mapping[str, Any]) -> dict[str, Any]:
    ends = ("minValue", "maxValue", "length")
    listed = {key: [as_number(v) for v in item[key]] for key in ends if isinstance(item.get(key), list)}
    return {**item, **{key: as_number(item[key]) for key in ends if key in item}, **listed}


class _Reader:
    """Makes the parameters of one space, and collects the conditions under which they are active."""

    def __init__(self) -> None:
        self.conditions: dict[str, str] = {}
        self._made: dict[str, list[HPSpace]] = {}

    def parameters(self, specs: Mapping[Any, Any], depth: int = 0) -> list[HPSpace]:
        """Return the parameters of a mapping."""
        if not isinstance(specs, Mapping):
            raise SpaceError(f"space: must be a mapping from names to parameters, got {shown(specs)}")
        if depth > MOST_DEPTH:
            raise SpaceError(f"space: choices must lie in choices at most {MOST_DEPTH} deep")
        found = []
        for name, spec in specs.items():
            with located(specs, name):
                if not isinstance(name, str) or not name:
                    raise SpaceError(f"space: names of parameters must be strings, got {shown(name)}; put it in quotes")
                found.append(self.parameter(name, spec, depth))
        return found

    def parameter(self, name: str, spec: Any, depth: int) -> HPSpace:
        """Return one parameter; the same one where it was described alike before."""
        made = self._parameter(name, spec, depth)
        known = self._made.setdefault(name, [])
        for other in known:
            if other == made:
                return other
        known.append(made)
        return made

    def _parameter(self, name: str, spec: Any, depth: int) -> HPSpace:
        if isinstance(spec, list):
            return ChoiceHP(name, plain(spec))
        if not isinstance(spec, Mapping):
            return FixedHP(name, spec)
        if "kind" in spec:
            return HPSpace.from_dict({**spec, "name": name})
        kind = _kind_of(name, spec)
        if "when" in spec:
            self._add_condition(name, spec["when"])
        if kind == "fixed value":
            return FixedHP(name, plain(spec["value"]))
        return _range(name, spec) if kind == "range" else self._choice(name, spec, depth)

    def _add_condition(self, name: str, formula: Any) -> None:
        if not isinstance(formula, str):
            raise SpaceError(f"{name}: when must be a formula such as \"opt == 'sgd'\", got {shown(formula)}")
        if self.conditions.setdefault(name, formula) != formula:
            raise SpaceError(f"{name}: when must be the same wherever the parameter stands, got {shown(formula)}")

    def _choice(self, name: str, spec: Mapping[str, Any], depth: int) -> HPSpace:
        choices, is_ordered = spec["choices"], _flag(name, "ordered", spec.get("ordered", False))
        prior = _prior(name, spec.get("prior"))
        children: dict[Any, list[HPSpace]] = {}
        if isinstance(choices, Mapping):
            for choice, below in choices.items():
                with located(choices, choice):
                    if below is not None and not isinstance(below, Mapping):
                        rule = f"below the choice {shown(choice)} must stand a mapping of parameters, or {{}}"
                        raise SpaceError(f"{name}: {rule}, got {shown(below)}")
                    if below:
                        children[choice] = self.parameters(below, depth + 1)
            choices = list(choices)
        if not is_ordered:
            return ChoiceHP(name, plain(choices), children, prior)
        if children:
            raise SpaceError(
                f"{name}: ordered choices have no parameters of their own; leave out ordered, or give them `when`"
            )
        return OrdinalHP(name, plain(choices), prior)


def _kind_of(name: str, spec: Mapping[str, Any]) -> str:
    """Return which kind of parameter a mapping describes.

    Raises:
        SpaceError: It is none, or has a key of another one.
    """
    kind = next((k for k, key in (("choice", "choices"), ("fixed value", "value")) if key in spec), None)
    if kind is None and ("low" in spec or "high" in spec):
        kind = "range"
    known = KEYS[kind] if kind else ("low", "high", "choices", "value", "kind")
    for key in spec:
        if key not in known:
            with located(spec, key):
                raise SpaceError(f"{name}: {_what(kind)}, got {shown(key)}{_hint(key, known)}")
    if kind is None:
        raise SpaceError(f"{name}: must be {FORMS}, got {shown(dict(spec))}")
    for key in ("low", "high") if kind == "range" else ():
        if key not in spec:
            raise SpaceError(f"{name}: a range must have low and high, got {', '.join(map(str, spec))}")
    return kind


def _what(kind: str | None) -> str:
    if kind is None:
        return "a parameter has low and high, or choices, or value"
    return f"a {kind} has the keys {', '.join(KEYS[kind])}"


def _hint(key: Any, known: Sequence[str]) -> str:
    meant = MEANT.get(str(key).lower())
    if meant is not None:
        return f"; write {meant}"
    return did_you_mean(str(key), known).removesuffix(".")


def _range(name: str, spec: Mapping[str, Any]) -> HPSpace:
    ends = {key: _number(name, key, spec[key]) for key in ("low", "high", "step") if spec.get(key) is not None}
    for key in ("low", "high"):
        if key not in ends:
            raise SpaceError(f"{name}: {key} must be a number, got {shown(spec.get(key))}")
    kind = spec.get("type")
    if kind not in (None, "int", "float"):
        raise SpaceError(f"{name}: type must be int or float, got {shown(kind)}")
    if kind == "int":
        for key, value in ends.items():
            if value != value // 1:
                raise SpaceError(f"{name}: {key} must be an integer where type is int, got {value}")
        ends = {key: int(value) for key, value in ends.items()}
    elif kind == "float":
        ends = {key: _float(name, key, value) for key, value in ends.items()}
    is_log = _flag(name, "log", spec.get("log", False))
    return (LogRangeHP if is_log else RangeHP)(name, **ends, prior=_prior(name, spec.get("prior")))


def _float(name: str, key: str, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise SpaceError(f"{name}: {key} must be within the range of floats") from None


def _number(name: str, key: str, value: Any) -> float:
    number = as_number(value)
    if type(number) not in (int, float):
        raise SpaceError(f"{name}: {key} must be a number, got {shown(value)}")
    if not abs(number) < float("inf"):
        raise SpaceError(f"{name}: {key} must be finite, got {value}")
    return number  # type: ignore[no-any-return]


def _flag(name: str, key: str, value: Any) -> bool:
    flag = as_flag(value)
    if not isinstance(flag, bool):
        raise SpaceError(f"{name}: {key} must be true or false, got {shown(value)}")
    return flag


def _prior(name: str, given: Any) -> Any:
    """Return the prior that a value stands for: a belief in it; a mapping for another one, a list for weights."""
    if given is None or isinstance(given, list):
        return given
    if not isinstance(given, Mapping):
        return Belief(given)
    kinds: dict[frozenset[str], Any] = {
        frozenset({"value"}): Belief,
        frozenset({"value", "confidence"}): Belief,
        frozenset({"mean", "sd"}): NormalPrior,
        frozenset({"alpha", "beta"}): BetaPrior,
    }
    made = kinds.get(frozenset(map(str, given)))
    if made is None:
        rule = "a value, weights, {value:, confidence:}, {mean:, sd:} or {alpha:, beta:}"
        raise SpaceError(f"{name}: prior must be {rule}, got {shown(dict(given))}")
    is_number = made is not Belief
    return made(**{key: as_number(value) if is_number else value for key, value in given.items()})
