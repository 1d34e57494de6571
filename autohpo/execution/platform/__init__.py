"""The operating system below the local executor: whatever differs between Linux, macOS and Windows is in here.

Nothing else in ``autohpo.execution`` asks which system this is.
"""

from __future__ import annotations

import sys

from autohpo.execution.platform.base import Platform

_current: Platform | None = None  # chosen when it is asked for first


def current() -> Platform:
    """Return the platform of this process; other systems than the three have that of macOS, which asks for least."""
    global _current  # noqa: PLW0603 - there is one system below a process
    if _current is None:
        kinds = {"linux": "linux", "win32": "windows"}
        _current = named(kinds.get(sys.platform, "macos"))
    return _current


def use(platform: Platform) -> None:
    """Take a platform for that of this process: in a worker that of its driver, in a test any other."""
    global _current  # noqa: PLW0603
    _current = platform


def named(name: str) -> Platform:
    """Return a new platform by its name: *linux*, *macos* or *windows*."""
    if name == "windows":
        from autohpo.execution.platform.windows import WindowsPlatform

        return WindowsPlatform()
    if name == "macos":
        from autohpo.execution.platform.macos import MacPlatform

        return MacPlatform()
    from autohpo.execution.platform.linux import LinuxPlatform

    return LinuxPlatform()
