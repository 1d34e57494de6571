"""Conformance checks for plug-in authors: algorithms and kinds of parameters; no test framework is needed."""

from autohpo.testing.cases import Case
from autohpo.testing.checks import BoundCheck, Check, CheckFailed, CheckResult, ConformanceError
from autohpo.testing.engine import EVERY_FAULT, FakeEngine, Faults
from autohpo.testing.engine_log import wrong_states
from autohpo.testing.optimizers import OPTIMIZER_CHECKS, check_optimizer, optimizer_checks
from autohpo.testing.spaces import SPACE_CHECKS, check_space, space_checks
from autohpo.testing.stores import STORE_CHECKS, check_store, store_checks

__all__ = [
    "EVERY_FAULT",
    "OPTIMIZER_CHECKS",
    "SPACE_CHECKS",
    "STORE_CHECKS",
    "BoundCheck",
    "Case",
    "Check",
    "CheckFailed",
    "CheckResult",
    "ConformanceError",
    "FakeEngine",
    "Faults",
    "check_optimizer",
    "check_space",
    "check_store",
    "optimizer_checks",
    "space_checks",
    "store_checks",
    "wrong_states",
]
