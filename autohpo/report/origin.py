"""What made a run, and what repeats it: algorithm, options, versions, machine, command."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from autohpo.errors import text_of
from autohpo.spaces.tagged import from_json

Pairs = list[tuple[str, str]]


def origin_of(header: Mapping[str, Any]) -> Pairs:
    """Return what the header of a store says of how its run was made."""
    pairs: Pairs = [("algorithm", str(header.get("algorithm", "")))]
    options = dict(header.get("options", {}))
    for name in ("seed", *sorted(set(options) - {"seed", "points"})):
        value = options.get(name)
        if value is not None and value is not False:
            pairs.append((name, _text(value)))
    if options.get("points"):
        pairs.append(("points", f"{len(options['points'])} to begin with"))
    if header.get("name"):
        pairs.append(("name", str(header["name"])))
    pairs.append(("autohpo", str(header.get("version", ""))))
    return pairs


def machine() -> Pairs:
    """Return what this process runs on: versions, platform, host."""
    import numpy as np

    versions = f"{platform.python_implementation()} {platform.python_version()}, numpy {np.__version__}"
    return [("Python", versions), ("platform", platform.platform()), ("host", platform.node() or "unknown")]


def command() -> Pairs:
    """Return how this process was started."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    script = [sys.argv[0]] if spec is None else ["-m", spec.name.removesuffix(".__main__")]
    return [("command", shlex.join(["python", *script, *sys.argv[1:]]))]


def _text(value: Any) -> str:
    try:
        value = from_json(value)
    except Exception:  # a value that only the program that made it knows
        value = str(value)
    text = value if isinstance(value, str) else text_of(value)
    return text if len(text) <= 200 else text[:197] + "..."
