"""Search spaces as files write them: a mapping from the name of each parameter to what it may be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.other_names import did_you_mean
from autohpo.spaces.base import HPSpace
from autohpo.spaces.choice import ChoiceHP, FixedHP, OrdinalHP
from autohpo.spaces.files.documents import SUFFIXES, located, parse_yaml, plain, read_document
from autohpo.spaces.files.words import as_flag, as_number
from autohpo.spaces.numeric import LogRangeHP, RangeHP
from autohpo.spaces.priors import Belief, BetaPrior, NormalPrior
from autohpo.spaces.search_space import SearchSpace
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


def read_space(source: Any, constraints: Any = ()) -> SearchSpace:
    """Return the search space that a file, a text or parsed values describe, in the form of configuration files.

    Args:
        source: The path of a YAML, TOML or JSON file; YAML as a string; or what such a file holds. A file may hold the
            space alone, or ``space`` beside other keys of a configuration file, ``constraints`` among them.
        constraints: More formulas that a configuration must meet, such as "heads * dim <= 512".

    Raises:
        ConfigError: It breaks a rule, and stands in a file; a SpaceError that names file and line.
        SpaceError: It breaks a rule.

    Example:
        >>> read_space("lr: {low: 1e-4, high: 0.1, log: true}")
        SearchSpace([LogRangeHP(name='lr', low=0.0001, high=0.1)])
    """
    with reading("space"):
        given = _document(source)
        formulas = [*_formulas(constraints)]
        if _is_configuration(given):
            formulas = [*_formulas(given.get("constraints", ())), *formulas]
            given = given["space"]
            if isinstance(given, str):
                given = _document(Path(given))
        return _read_space(given, formulas)


def _document(source: Any) -> Any:
    """Return what a path or a text holds; anything else as it is."""
    is_text = isinstance(source, str)
    if isinstance(source, os.PathLike) or (is_text and "\n" not in source and Path(source).suffix in SUFFIXES):
        path = Path(source)
        if path.suffix not in SUFFIXES:
            raise SpaceError(f"space: file must end with {', '.join(SUFFIXES)}, got {path}")
        return read_document(path)
    return parse_yaml(source, "text") if is_text else source


def _is_configuration(given: Any) -> bool:
    """Return whether values are those of a configuration file, and not a space with a parameter named space."""
    is_mapping = isinstance(given, Mapping) and "space" in given
    return is_mapping and ("command" in given or "objective" in given or set(given) <= {"space", "constraints"})


def parsed_space(given: Any, constraints: Any = ()) -> SearchSpace:
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
    formulas = _formulas(constraints)
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
    reader = SpaceReader()
    return SearchSpace(reader.parameters(given), conditions=reader.conditions, constraints=formulas)


def _formulas(constraints: Any) -> Sequence[Any]:
    """Return constraints as a list.

    Raises:
        SpaceError: They are none.
    """
    formulas = [constraints] if isinstance(constraints, str) else constraints
    if not isinstance(formulas, (list, tuple)):
        raise SpaceError(
            f"constraints: must be a list of formulas such as 'heads * dim <= 512', got {shown(constraints)}"
        )
    return formulas


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


class SpaceReader:
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
