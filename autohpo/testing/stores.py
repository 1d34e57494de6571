"""The conformance checks of stores: whether one keeps the contract of ``autohpo.store.Store``."""

from __future__ import annotations

from collections.abc import Callable

from autohpo.store import Store
from autohpo.testing import store_life, store_log
from autohpo.testing.checks import BoundCheck, Check, CheckResult, bind, run_checks
from autohpo.testing.store_case import StoreCase


def _can_be_read(case: StoreCase) -> bool:
    return case.read is not None


STORE_CHECKS: tuple[Check, ...] = (
    Check(store_log.returns_what_was_appended),
    Check(store_log.numbers_events_without_gaps),
    Check(store_log.returns_the_events_behind_a_place),
    Check(store_log.refuses_a_second_ask_or_end),
    Check(store_log.takes_every_other_kind_again),
    Check(store_log.keeps_json_types),
    Check(store_log.keeps_any_text),
    Check(store_log.keeps_large_events),
    Check(store_log.refuses_what_json_cannot_hold),
    Check(store_log.keeps_what_it_need_not_sync),
    Check(store_log.may_be_appended_to_while_it_is_read),
    Check(store_life.keeps_the_header),
    Check(store_life.takes_the_same_header_again),
    Check(store_life.refuses_another_header),
    Check(store_life.opens_again_with_all_it_had),
    Check(store_life.keeps_runs_apart),
    Check(store_life.closes_twice),
    Check(store_life.keeps_its_files),
    Check(store_life.refuses_a_second_driver),
    Check(store_life.is_read_while_it_is_written, _can_be_read),
    Check(store_life.carries_a_search),
)
"""Every check of a store, in the order in which they run; each takes a :class:`StoreCase`."""


def check_store(
    make: Callable[[str], Store],
    *,
    read: Callable[[str], Store] | None = None,
    destroy: Callable[[str], object] | None = None,
) -> list[CheckResult]:
    """Run every check that concerns a store, and return how each ended.

    What survives a power loss cannot be checked from here.

    Args:
        make: Returns the store of the run of a name, not open. The same name is the same run, a new one a new run.
        read: Returns the same for someone who only reads while a driver writes; None where nobody can.
        destroy: Removes the run of a name, if there is any; called when a check is through with it.

    Raises:
        ConformanceError: Some checks failed; it names each, with what was wanted and what was got.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from autohpo.store import SQLiteStore
        >>> with TemporaryDirectory() as folder:
        ...     results = check_store(lambda name: SQLiteStore(f"{folder}/{name}.db"))
        >>> [result.name for result in results if result.state != "passed"]
        ['is_read_while_it_is_written']
    """
    case = StoreCase(make, read, destroy)
    with case.run() as run:
        name = type(make(run.name)).__name__
    return run_checks(name, STORE_CHECKS, case)


def store_checks(
    make: Callable[[str], Store],
    *,
    read: Callable[[str], Store] | None = None,
    destroy: Callable[[str], object] | None = None,
) -> list[BoundCheck]:
    """Return the checks that concern a store, to be run one by one.

    Args:
        make: Returns the store of the run of a name, not open. The same name is the same run, a new one a new run.
        read: Returns the same for someone who only reads while a driver writes; None where nobody can.
        destroy: Removes the run of a name, if there is any; called when a check is through with it.

    Example:
        In a test of your own::

            @pytest.mark.parametrize("check", store_checks(make_my_store), ids=str)
            def test_my_store_conforms(check):
                check()
    """
    return bind(STORE_CHECKS, StoreCase(make, read, destroy))
