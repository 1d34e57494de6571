"""One thread for linear algebra: several only spin on matrices this small, and change the last digits of results."""

from __future__ import annotations

import importlib
import os
import threading
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, Literal

LinearAlgebra = Literal["", "numpy", "scipy"]
"""The library whose linear algebra an algorithm calls; "scipy" stands for both, and the empty string for none."""

_MODULES = {"numpy": "numpy", "scipy": "scipy.linalg"}  # what loads the BLAS of each: scipy brings one of its own


class _Limit:
    """Keeps libraries at one thread while somebody is inside."""

    def __init__(self) -> None:
        self.n_inside = 0
        self._changed: list[tuple[Any, int]] = []  # controllers, and how many threads their libraries had

    def enter(self, controllers: list[Any]) -> None:
        """Count one more inside, and set what has more threads to one."""
        for controller in controllers:
            n = controller.get_num_threads()
            if n is not None and n != 1:
                _set(controller, 1)
                self._changed.append((controller, n))
        self.n_inside += 1

    def leave(self) -> None:
        """Count one less inside; the last one gives the threads back."""
        self.n_inside -= 1
        if not self.n_inside:
            self.give_back()

    def give_back(self) -> None:
        """Undo the latest change first; who has set another number in the meantime keeps it."""
        self.n_inside = 0
        while self._changed:
            controller, n = self._changed.pop()
            if controller.get_num_threads() == 1:
                _set(controller, n)


def _set(controller: Any, n: int) -> None:
    """Set the number of threads of a library.

    A controller of threadpoolctl 3.8 and later ignores all threads of Python but the first one that set a number; here
    they take turns, and none keeps the right.
    """
    release = getattr(controller, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)
    controller.set_num_threads(n)
    if release is not None:
        release(force=True)


class _OneThread:
    """Keeps the BLAS libraries of numpy and scipy at one thread while somebody is inside, in whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared, self._own = _Limit(), threading.local()
        self._everyones: list[Any] = []  # controllers of libraries that have one number for the process
        self._each: list[Any] = []  # controllers of those that have one for each thread of Python, by OpenMP
        self._looked_up: set[str] = set()

    def enter(self, library: str) -> None:
        """Count one more inside, and set what has more threads to one."""
        if library not in self._looked_up:
            importlib.import_module(_MODULES[library])  # before the lock: an import may wait for another thread
        with self._lock:
            if library not in self._looked_up:
                self._look_up(library)
            self._shared.enter(self._everyones)
        self._limit_here().enter(self._each)

    def leave(self) -> None:
        """Count one less inside; the last one gives the threads back."""
        self._limit_here().leave()
        with self._lock:
            self._shared.leave()

    def forget(self) -> None:
        """Begin anew in a forked child, which has none of the threads that were inside."""
        self._lock = threading.Lock()
        self._limit_here().give_back()
        self._shared.give_back()

    def _limit_here(self) -> _Limit:
        """The limit of this thread of Python."""
        limit: _Limit | None = getattr(self._own, "limit", None)
        if limit is None:
            limit = self._own.limit = _Limit()
        return limit

    def _look_up(self, library: str) -> None:
        """Find the BLAS libraries that are loaded now: it takes a millisecond. No others are touched."""
        from threadpoolctl import ThreadpoolController  # here, because importing autohpo must stay light

        known = {controller.filepath for controller in [*self._everyones, *self._each]}
        for controller in ThreadpoolController().select(user_api="blas").lib_controllers:
            if controller.filepath not in known:
                is_by_openmp = getattr(controller, "threading_layer", None) == "openmp"
                (self._each if is_by_openmp else self._everyones).append(controller)
        self._looked_up.add(library)


_one_thread = _OneThread()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_one_thread.forget)


class one_blas_thread(ContextDecorator):  # noqa: N801, like the context managers of contextlib
    """Run the linear algebra of a block on one thread, whatever the environment says.

    Matrices of a few hundred rows are slower on many threads, by far on a busy machine. And sums come out otherwise in
    the last digits, so that what a search suggests would depend on the number of cores. Blocks may be nested, and run
    in several threads at once: the number of threads that was there before comes back when the last one ends.

    Args:
        library: The library whose linear algebra the block calls; "scipy" stands for both.

    Example:
        >>> import numpy as np
        >>> with one_blas_thread("numpy"):
        ...     float(np.ones(3) @ np.ones(3))
        3.0
    """

    def __init__(self, library: Literal["numpy", "scipy"] = "scipy") -> None:
        self._library = library

    def __enter__(self) -> None:
        _one_thread.enter(self._library)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _one_thread.leave()
