"""Conformance checks for plug-in authors: algorithms, kinds of parameters, executors; no test framework is needed."""

from autohpo.testing.cases import Case
from autohpo.testing.checks import BoundCheck, Check, CheckFailed, CheckResult, ConformanceError
from autohpo.testing.engine import FakeEngine
from autohpo.testing.engine_log import wrong_states
from autohpo.testing.executor_case import ExecutorCase, ExecutorSession
from autohpo.testing.executors import EXECUTOR_CHECKS, check_executor, executor_checks
from autohpo.testing.faults import EVERY_FAULT, Faults
from autohpo.testing.optimizers import OPTIMIZER_CHECKS, check_optimizer, optimizer_checks
from autohpo.testing.spaces import SPACE_CHECKS, check_space, space_checks
from autohpo.testing.stores import STORE_CHECKS, check_store, store_checks

__all__ = [
    "EVERY_FAULT",
    "EXECUTOR_CHECKS",
    "OPTIMIZER_CHECKS",
    "SPACE_CHECKS",
    "STORE_CHECKS",
    "BoundCheck",
    "Case",
    "Check",
    "CheckFailed",
    "CheckResult",
    "ConformanceError",
    "ExecutorCase",
    "ExecutorSession",
    "FakeEngine",
    "Faults",
    "check_executor",
    "check_optimizer",
    "check_space",
    "check_store",
    "executor_checks",
    "optimizer_checks",
    "space_checks",
    "store_checks",
    "wrong_states",
]
