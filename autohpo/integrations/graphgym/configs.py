"""Configurations of GraphGym: YAML files, read, filled with the values of a trial, and written."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autohpo.errors import OptionError, PathError, shown
from autohpo.integrations.graphgym.files import PathLike, text_of


def read_config(path: PathLike) -> dict[str, Any]:
    """Return the content of a YAML configuration of GraphGym.

    Raises:
        PathError: The file cannot be read.
        OptionError: It is no YAML, or no mapping.
    """
    import yaml

    text = text_of(path)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError, TypeError) as error:
        raise OptionError(f"config: {os.fspath(path)} must be YAML: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise OptionError(f"config: {os.fspath(path)} must have sections, got {shown(found)}")
    return found


def config_of(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with other values; `base` is not changed.

    Args:
        base: The configuration, such as :func:`read_config` returns.
        settings: The values by dotted key, such as ``{"gnn.act": "relu"}``; see :meth:`Grid.settings`.

    Raises:
        OptionError: A key leads into something that is no section.

    Example:
        >>> config_of({"gnn": {"act": "relu", "dropout": 0.0}}, {"gnn.act": "prelu", "optim.base_lr": 0.01})
        {'gnn': {'act': 'prelu', 'dropout': 0.0}, 'optim': {'base_lr': 0.01}}
    """
    config = copy.deepcopy(dict(base))
    for key, value in settings.items():
        *sections, last = str(key).split(".")
        place: Any = config
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise OptionError(f"{key}: {section} must be a section of the configuration, got {shown(place)}")
        place[last] = copy.deepcopy(value)
    return config


def write_config(base: Mapping[str, Any], settings: Mapping[str, Any], path: PathLike) -> None:
    """Write a configuration with other values as YAML; see :func:`config_of`.

    Raises:
        OptionError: A key leads into something that is no section, or a value has no form in YAML.
        PathError: The file cannot be written.
    """
    import yaml

    try:
        text = yaml.safe_dump(config_of(base, settings), default_flow_style=False, sort_keys=False)
    except yaml.YAMLError as error:
        raise OptionError(f"config: must have values that YAML has: {error}") from error
    try:
        Path(path).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PathError(f"{os.fspath(path)}: cannot be written: {error}") from error
