"""The studies of a PostgreSQL database: what each is and how it stands, as of the stores of a folder."""

from __future__ import annotations

from typing import Any

from autohpo.cli.look.listing import with_best
from autohpo.store.postgres_studies import Study, studies_of
from autohpo.store.postgres_url import parse_url, with_study


def database_of(url: str) -> str:
    """Return the URL of the database that a URL names, without secrets."""
    parsed = parse_url(url)
    place = str(parsed.place)
    return place.removesuffix(f"/{parsed.study}") if parsed.study else place


def listed_studies(url: str, *, is_all: bool = False) -> list[dict[str, Any]]:
    """Return what each study of a database is and how it stands, by name.

    Args:
        url: The URL of the database, or of one of its studies.
        is_all: Whether the best of each is told, whatever its size.

    Raises:
        StoreOfflineError: The server cannot be reached.
    """
    return with_best({with_study(url, study.name): _row(study) for study in studies_of(url)}, is_all=is_all)


def _row(study: Study) -> dict[str, Any]:
    state = "running" if study.is_running else "idle"
    row: dict[str, Any] = {
        "store": study.name,
        **dict.fromkeys(("name", "algorithm", "best")),
        "trials": study.n_asked,
        "state": state,
        "changed": study.changed,
    }
    if study.is_damaged:
        error = f"store: {study.name} is damaged: its header is not what was written"
        return row | {"trials": None, "state": "damaged", "error": error}
    if study.header is None:
        return row | {"state": "running" if study.is_running else "empty", "trials": 0}
    return row | {"name": study.header.get("name", ""), "algorithm": study.header.get("algorithm", "")}
