"""GPUs: which one each worker may use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autohpo.errors import OptionError, short
from autohpo.untrusted import reading

VISIBLE = "CUDA_VISIBLE_DEVICES"

MOST_DEVICES = 2**12
"""How many devices a number may stand for: more than any machine has."""


def gpus_of_slots(gpus: Any, n_slots: int) -> tuple[str, ...]:
    """Return what ``CUDA_VISIBLE_DEVICES`` says in each slot; nothing where `gpus` is None.

    The slots go round the devices, so that few workers share none.

    Args:
        gpus: How many GPUs there are; or a list of their ids, numbers or strings such as ``"GPU-8932f937"``; or how
            many workers share each, as a dict. Numbers count what ``CUDA_VISIBLE_DEVICES`` shows to this process.
        n_slots: The number of slots.

    Raises:
        OptionError: It is none of that, or has no room for so many slots.
    """
    if gpus is None:
        return ()
    shares = _shares(gpus)
    visible = _visible()
    found = [(device, _name(device, visible)) for device in _rounds(shares, n_slots)]
    if len(found) < n_slots:
        n = sum(shares.values())
        raise OptionError(
            f"gpus: must have a slot for each of the {n_slots} workers, got {n}; lower num_workers, or let workers "
            "share a GPU, such as gpus={0: 2, 1: 2}"
        )
    return tuple(name for _, name in found[:n_slots])


def _shares(gpus: Any) -> dict[int | str, int]:
    """How many workers share each device."""
    if isinstance(gpus, int) and not isinstance(gpus, bool) and gpus > 0:
        return dict.fromkeys(range(min(gpus, MOST_DEVICES)), 1)
    shares: dict[int | str, int] = {}
    if isinstance(gpus, Mapping):
        with reading("gpus", OptionError):
            shares = dict(gpus)
    elif isinstance(gpus, Sequence) and not isinstance(gpus, (str, bytes)):
        for device in gpus:
            if _is_device(device):
                shares[device] = shares.get(device, 0) + 1
            else:
                raise _wrong(gpus)
    is_right = all(_is_device(device) and type(n) is int and n > 0 for device, n in shares.items())
    if not shares or not is_right:
        raise _wrong(gpus)
    return shares


def _is_device(device: Any) -> bool:
    return (type(device) is int and 0 <= device < MOST_DEVICES) or (
        isinstance(device, str) and bool(device.strip()) and device.isprintable()
    )


def _wrong(gpus: Any) -> OptionError:
    wanted = "a number of GPUs, a list of their ids such as [0, 1], or workers for each id such as {0: 2, 1: 2}"
    return OptionError(f"gpus: must be {wanted}, got {short(gpus)}")


def _rounds(shares: Mapping[int | str, int], most: int) -> Iterator[int | str]:
    """The devices, each as often as it may be shared but at most so often: each once, then again."""
    for turn in range(min(max(shares.values()), most)):
        yield from (device for device, n in shares.items() if n > turn)


def _visible() -> list[str] | None:
    """What this process may use itself, if that is limited."""
    shown = os.environ.get(VISIBLE)
    return None if shown is None else [name.strip() for name in shown.split(",") if name.strip()]


def _name(device: int | str, visible: Sequence[str] | None) -> str:
    if isinstance(device, str) or visible is None:
        return str(device)
    if device >= len(visible):
        raise OptionError(
            f"gpus: must be below {len(visible)}, as {VISIBLE}={','.join(visible)} shows {len(visible)} to this "
            f"process, got {device}"
        )
    return visible[device]
