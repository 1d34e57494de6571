"""A run of the tests that ends before its last one, or in which one failed, is a failure, whatever ended it.

A handler of a signal that some library has set may end the process with the code of success.
"""

from __future__ import annotations

import atexit
import os
import sys

BROKEN_OFF = 7
"""The exit code of a run that ended before its last test; pytest's own end with 6."""


class Progress:
    """How far the run has come."""

    def __init__(self) -> None:
        self.n_tests = self.n_over = self.n_failed = 0

    def pytest_collection_finish(self, session):
        """Count what is to be run."""
        if not session.config.option.collectonly:
            self.n_tests = len(session.items)

    def pytest_runtest_logfinish(self):
        """Count what was."""
        self.n_over += 1

    def pytest_runtest_logreport(self, report):
        """Count failures."""
        self.n_failed += report.failed

    def check(self) -> None:
        """End with a failure where tests are missing, or failed."""
        if self.n_over < self.n_tests or self.n_failed:
            sys.stdout.flush()
            counts = f"{self.n_over} of {self.n_tests} tests were run, {self.n_failed} failures"
            print(f"\n{counts}: the run has failed", file=sys.stderr, flush=True)
            os._exit(BROKEN_OFF if self.n_over < self.n_tests else 1)


def pytest_configure(config):
    """Look at the progress when the process ends."""
    progress = Progress()
    config.pluginmanager.register(progress, "autohpo-progress")
    atexit.register(progress.check)
