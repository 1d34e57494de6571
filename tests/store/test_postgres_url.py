"""URLs of PostgreSQL stores: their forms, what is refused, and how they are shown; no server is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from autohpo.errors import OptionError
from autohpo.service import Launch
from autohpo.store import PostgresStore, open_store, redacted
from autohpo.store.postgres_url import is_postgres, parse_url, with_study

CANARY = "canary"
ESCAPED = "postgresql://ada:canary%40%2F%3A%3F@host/lab/run"


@pytest.mark.parametrize(
    ("url", "parameters", "place"),
    [
        ("postgresql://host/lab/run", {"host": "host"}, "postgresql://host/lab/run"),
        ("postgres://host/lab/run", {"host": "host"}, "postgresql://host/lab/run"),
        ("POSTGRESQL://host/lab/run/", {"host": "host"}, "postgresql://host/lab/run"),
        ("postgresql:///lab/run", {}, "postgresql:///lab/run"),
        (ESCAPED, {"user": "ada", "password": "canary@/:?", "host": "host"}, "postgresql://ada@host/lab/run"),
        ("postgresql://a%40b:@h/lab/run", {"user": "a@b", "password": "", "host": "h"}, "postgresql://a%40b@h/lab/run"),
        (
            "postgresql://h1:1,h2:2/lab/run?target_session_attrs=read-write",
            {"host": "h1,h2", "port": "1,2", "target_session_attrs": "read-write"},
            "postgresql://h1:1,h2:2/lab/run",
        ),
        ("postgresql://[::1]:5433/lab/run", {"host": "::1", "port": "5433"}, "postgresql://[::1]:5433/lab/run"),
        ("postgresql:///lab/run?host=/run/pg", {"host": "/run/pg"}, "postgresql:///lab/run"),
        ("postgresql://h/lab/run?password=canary", {"host": "h", "password": CANARY}, "postgresql://h/lab/run"),
        ("postgresql://h/my%20lab/run", {"host": "h"}, "postgresql://h/my%20lab/run"),
    ],
)
def test_a_url_says_where_the_study_is(url: str, parameters: dict[str, str], place: str) -> None:
    """And is shown without password and parameters."""
    found = parse_url(url)
    assert is_postgres(url)
    assert found.parameters == parameters
    assert found.place == place
    assert (found.place.name, found.study) == ("run", "run")
    assert isinstance(open_store(url), PostgresStore)
    assert CANARY not in f"{found!r} {open_store(url)!r} {found.address} {redacted(url)}"
    assert parse_url(found.address).study == "run"
    assert parse_url(with_study(url, "other")).parameters == parameters
    assert parse_url(with_study(url, "other")).study == "other"


def test_a_database_alone_is_no_store() -> None:
    """It is what `autohpo ls` takes."""
    for url in ("postgresql://host/lab", "postgresql://ada:canary@host/lab/"):
        assert (parse_url(url).database, parse_url(url).study) == ("lab", "")
        with pytest.raises(OptionError, match="must name a study, as in 'postgresql://user@host/database/study', got"):
            open_store(url)
    assert with_study("postgresql://h/lab?files=/x", "run") == "postgresql://h/lab/run?files=/x"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ada:canary@host", "whose path is not 'database/study'"),
        ("postgresql://ada:canary@host/", "whose path is not 'database/study'"),
        ("postgresql://ada:canary@host/lab/run/more", "whose path is not 'database/study'"),
        ("postgresql://ada:can/canary@host/lab/run", "host and port cannot be read; write '@', ':', '/'"),
        ("postgresql://ada:12/canary@host/lab/run", "'@' in its path; write '@', ':', '/'"),
        ("postgresql://host:port/lab/run", "host and port cannot be read"),
        ("postgresql://host/lab/a b", "the name of a study must be 1 to 100 letters, digits"),
        ("postgresql://host/lab/..", "the name of a study must be"),
        ("postgresql://host/lab/a%2Fb", "the name of a study must be"),
        ("postgresql://host/lab/a'; DROP TABLE x; --", "the name of a study must be"),
        (f"postgresql://host/lab/{'x' * 101}", "the name of a study must be"),
        ("postgresql://host/lab/run?pasword=canary", "got 'pasword'; did you mean 'password'?"),
        ("postgresql://host/lab/run?dbname=other", "got 'dbname'"),
        ("postgresql://host/lab/run?sslmode", "must be name=value, joined with '&'"),
        ("postgresql://host/lab/run?files=", "files must be a folder"),
        ("postgresql://host/l%00ab/run", "NUL character"),
        ("postgresql://host/lab/run?user=%00", "NUL character"),
    ],
)
def test_a_malformed_url_is_refused_and_its_password_not_shown(url: str, said: str) -> None:
    """Nobody knows which part of it was meant as the password."""
    with pytest.raises(OptionError) as caught:
        open_store(url)
    assert said in str(caught.value)
    assert CANARY not in str(caught.value)
    assert CANARY not in redacted(url)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("run.db", "run.db"),
        ("a/b@c.db", "a/b@c.db"),
        ("sqlite:///run.db?timeout=3", "sqlite:///run.db?timeout=3"),
        ("mysql://ada:canary@host/lab", "mysql://***@host/lab"),
        ("https://host/x?token=canary&n=3", "https://host/x?token=***&n=3"),
        ("postgresql+psycopg://ada:canary@host/lab/run", "postgresql+psycopg://***@host/lab/run"),
        (
            "postgresql://ada:canary@host/lab/run?sslmode=require&sslpassword=canary&files=/data/runs",
            "postgresql://ada@host/lab/run?sslmode=require&files=/data/runs",
        ),
        ("postgresql://ada@host/lab/run?password=canary", "postgresql://ada@host/lab/run"),
        ("postgresql:///lab/run?host=/run/pg&user=ada", "postgresql://ada@/lab/run?host=/run/pg"),
    ],
)
def test_what_is_shown_has_no_secret_and_still_leads_there(text: str, shown: str) -> None:
    """So that it can be printed as what to type next; the password comes from PGPASSWORD or ~/.pgpass then."""
    assert redacted(text) == shown


@pytest.mark.parametrize("url", ["mysql://ada:canary@h/lab", "sqlite://ada:canary@h/x", "redis://h/?password=canary"])
def test_a_store_of_another_kind_is_refused_without_its_password(url: str) -> None:
    """As whoever comes from another library has one in the URL."""
    with pytest.raises(OptionError) as caught:
        open_store(url)
    assert CANARY not in str(caught.value)


def test_the_record_of_a_command_line_has_no_password() -> None:
    """It lies in a file, so that the search can be started again."""
    words = ["python", "-m", "autohpo", "run", "x.py"]
    words += [f"--store={ESCAPED}", "--store", ESCAPED, "git://a@b/c", "-p=a@b"]
    kept = Launch.of_this_process(words).argv
    shown = "postgresql://ada@host/lab/run"
    assert kept == (*words[:5], f"--store={shown}", "--store", shown, "git://a@b/c", "-p=a@b")


def test_the_folder_of_the_files_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative one is that of the process."""
    monkeypatch.chdir(tmp_path)
    assert parse_url("postgresql://h/lab/run?files=runs").folder == tmp_path / "runs"
    assert parse_url("postgresql://h/lab/run").folder is None
