"""Check, CheckResult and ConformanceError: named demands, run one by one, every failure named."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autohpo.errors import AlgorithmError, AutoHPOError


class CheckFailed(AssertionError):  # noqa: N818 - what happened, not an error of autohpo
    """A demand is not met; the text says what was wanted and what was got."""


@dataclass(frozen=True)
class CheckResult:
    """How one check ended.

    Attributes:
        name: The name of the check.
        state: "skipped" where the check does not concern the subject.
        demand: What the check demands, and why.
        detail: What was wanted and what was got, where it failed.
    """

    name: str
    state: Literal["passed", "failed", "skipped"]
    demand: str
    detail: str = ""


class ConformanceError(AutoHPOError, AssertionError):
    """Some checks failed; the text names each, with what was wanted and what was got.

    Attributes:
        subject: What was checked.
        results: The result of every check, in order.
    """

    def __init__(self, subject: str, results: Sequence[CheckResult]) -> None:
        self.subject, self.results = subject, list(results)
        failed = [result for result in self.results if result.state == "failed"]
        lines = [f"{subject}: {len(failed)} of {len(self.results)} checks failed"]
        for result in failed:
            lines += [f"- {result.name}: {result.detail}", f"  demanded: {result.demand}"]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[ConformanceError], tuple[str, list[CheckResult]]]:
        """Pickles by its arguments: the base class would hand the text to ``__init__``."""
        return type(self), (self.subject, self.results)


@dataclass(frozen=True)
class Check:
    """A function that raises where its subject breaks a rule.

    Attributes:
        run: Raises CheckFailed, or lets pass what the subject raised; its docstring says what it demands and why.
        concerns: Whether the check has anything to say about a subject.
    """

    run: Callable[[Any], None]
    concerns: Callable[[Any], bool] = lambda _: True

    @property
    def name(self) -> str:
        """The name of its function."""
        return self.run.__name__

    @property
    def demand(self) -> str:
        """What it demands, and why: the docstring of its function."""
        return " ".join((self.run.__doc__ or "").split())


@dataclass(frozen=True)
class BoundCheck:
    """A check of one subject: call it; its text is the name of the check, for pytest's ids."""

    check: Check
    subject: Any

    def __call__(self) -> None:
        """Runs the check."""
        self.check.run(self.subject)

    def __str__(self) -> str:
        return self.check.name


def bind(checks: Iterable[Check], subject: Any) -> list[BoundCheck]:
    """The checks that concern a subject, each to be called without arguments."""
    return [BoundCheck(check, subject) for check in checks if check.concerns(subject)]


def run_checks(name: str, checks: Iterable[Check], subject: Any) -> list[CheckResult]:
    """The results of all checks, in order.

    Raises:
        ConformanceError: Some failed; it names every one.
    """
    results = [_run_one(check, subject) for check in checks]
    if any(result.state == "failed" for result in results):
        raise ConformanceError(name, results)
    return results


def _run_one(check: Check, subject: Any) -> CheckResult:
    if not check.concerns(subject):
        return CheckResult(check.name, "skipped", check.demand)
    try:
        check.run(subject)
    except CheckFailed as failure:
        return CheckResult(check.name, "failed", check.demand, str(failure))
    except Exception as error:  # what is being checked may raise anything, and the other checks must still run
        if isinstance(error, AlgorithmError) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # where the algorithm went wrong
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}:{place.lineno}"
        text = f"wanted no exception, got {type(error).__name__}: {error} ({where})"
        return CheckResult(check.name, "failed", check.demand, text)
    return CheckResult(check.name, "passed", check.demand)


def expect(is_met: bool, wanted: object, got: object) -> None:
    """Goes on where a demand is met.

    Raises:
        CheckFailed: It is not; the text holds `wanted` and `got`.
    """
    if not is_met:
        raise CheckFailed(f"wanted {wanted}, got {got}")


def expect_error(kind: type[Exception], act: Callable[[], object], what: str) -> Exception:
    """The error of this kind that an action raises, as it should.

    Raises:
        CheckFailed: It raised nothing, or something else.
    """
    try:
        value = act()
    except kind as error:
        return error
    except Exception as error:
        raise CheckFailed(f"wanted {kind.__name__} for {what}, got {type(error).__name__}: {error}") from error
    raise CheckFailed(f"wanted {kind.__name__} for {what}, got {value!r}")


def expect_equal(wanted: Sequence[Any], got: Sequence[Any], what: str) -> None:
    """Goes on where two sequences are equal.

    Raises:
        CheckFailed: They are not; the text shows the first difference.
    """
    for i, (a, b) in enumerate(zip(wanted, got, strict=False)):
        expect(a == b, f"{what}, item {i}: {a}", b)
    expect(len(wanted) == len(got), f"{what}: {len(wanted)} items", len(got))
