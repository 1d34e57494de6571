"""Helpers of scripts for Syne Tune: checkpoints, configurations in files, and flags."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from autohpo.integrations.syne_tune.constants import ST_CHECKPOINT_DIR, ST_CONFIG_JSON_FNAME_ARG

__all__ = [
    "add_checkpointing_to_argparse",
    "add_config_json_to_argparse",
    "checkpoint_model_at_rung_level",
    "load_config_json",
    "parse_bool",
    "pytorch_load_save_functions",
    "resume_from_checkpointed_model",
]


def add_checkpointing_to_argparse(parser: argparse.ArgumentParser) -> None:
    """Add the argument with the folder of checkpoints to the parser of a script."""
    parser.add_argument(f"--{ST_CHECKPOINT_DIR}", type=str)


def add_config_json_to_argparse(parser: argparse.ArgumentParser) -> None:
    """Add the argument with the file of the configuration to the parser of a script."""
    parser.add_argument(f"--{ST_CONFIG_JSON_FNAME_ARG}", type=str)


def load_config_json(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration in the file that the arguments of a script name, together with these arguments."""
    found: dict[str, Any] = json.loads(Path(args[ST_CONFIG_JSON_FNAME_ARG]).read_text(encoding="utf-8"))
    return {**found, **args}


def parse_bool(val: str) -> bool:
    """Return the flag that "true" or "false" stands for, in any case of letters.

    Raises:
        ValueError: It is neither.
    """
    if val.lower() not in ("true", "false"):
        raise ValueError(f"val: must be 'true' or 'false', got {val!r}")
    return val.lower() == "true"


def resume_from_checkpointed_model(config: Mapping[str, Any], load_model_fn: Callable[[str], int]) -> int:
    """Return the resource at which a training goes on; 0 where there is no checkpoint.

    Args:
        config: The arguments of the script.
        load_model_fn: A function that loads what is in a folder, and returns the resource it was saved at.
    """
    folder = config.get(ST_CHECKPOINT_DIR)
    return load_model_fn(folder) if folder is not None and Path(folder).exists() else 0


def checkpoint_model_at_rung_level(
    config: Mapping[str, Any], save_model_fn: Callable[[str, int], Any], resource: int
) -> None:
    """Save a checkpoint, if the script was given a folder for it.

    Args:
        config: The arguments of the script.
        save_model_fn: A function that saves into a folder.
        resource: The resource that the training has come to.
    """
    folder = config.get(ST_CHECKPOINT_DIR)
    if folder is not None:
        save_model_fn(folder, resource)


def pytorch_load_save_functions(
    state_dict_objects: Mapping[str, Any], mutable_state: dict[str, Any] | None = None, fname: str = "checkpoint.json"
) -> tuple[Callable[[str], int], Callable[[str, int], None]]:
    """Return the functions that load and that save objects of PyTorch.

    Args:
        state_dict_objects: Models and optimizers, by name.
        mutable_state: Further values to be kept, by name; it is changed by loading.
        fname: The name of the file in the folder.
    """
    torch: Any = import_module("torch")  # only scripts that use it have it
    values = {} if mutable_state is None else mutable_state

    def load(folder: str) -> int:
        path = Path(folder) / fname
        if not path.is_file():
            return 0
        saved = torch.load(path, weights_only=True)
        for name, item in state_dict_objects.items():
            item.load_state_dict(saved["objects"][name])
        values.update(saved["values"])
        return int(saved["resource"])

    def save(folder: str, resource: int) -> None:
        path = Path(folder) / fname
        path.parent.mkdir(parents=True, exist_ok=True)
        objects = {name: item.state_dict() for name, item in state_dict_objects.items()}
        partial = path.with_name(path.name + ".partial")
        torch.save({"objects": objects, "values": dict(values), "resource": resource}, partial)
        partial.replace(path)  # a script may be ended while it saves

    return load, save
