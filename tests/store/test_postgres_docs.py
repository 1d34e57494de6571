"""The page on PostgreSQL: every Python block runs as it stands there, on a server of the tests."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import PASSWORD, USER, Server

from autohpo.cli.main import main
from autohpo.store import postgres_schema
from autohpo.store.postgres_studies import studies_of

PAGE = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
SERVER = "ada@db.example.org/lab"


def test_the_code_of_the_page_runs(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order, with the password where the page wants it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) >= 4
    here = f"{USER}@127.0.0.1:{server.port}/lab"
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:
        assert SERVER in PAGE
        exec(compile(block.replace(SERVER, here), "<postgresql.md>", "exec"), namespace)
    said = capsys.readouterr().out
    assert "<Result of tpe: 20 trials (20 COMPLETE)" in said
    assert "60 events" in said
    assert "'cora-gcn'" in said
    assert "cora-gcn" not in [study.name for study in studies_of(f"postgresql://{here}")]


def test_the_moves_of_the_page_work(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands, one after the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    Path("space.yaml").write_text("x: {low: 0.0, high: 1.0}\n")
    assert main(["ask", "run.db", "--space", "space.yaml"]) == 0
    lines = re.findall(r"^autohpo (import|export) (\S+) --to (\S+)", PAGE, flags=re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        words = [word.replace(SERVER, f"{USER}@127.0.0.1:{server.port}/lab") for word in line]
        if words[2] == "run.db":
            Path("run.db").unlink()
        assert main([words[0], words[1], "--to", words[2]]) == 0, capsys.readouterr()


def test_the_rights_of_the_page_are_enough(server: Server, study: str) -> None:
    """For a user who runs searches, and who did not make the tables."""
    from autohpo import RangeHP, build_hpo_from_name
    from autohpo.store.postgres_studies import reserve_study

    reserve_study(f"{study}-first")  # by who may make the tables
    (grants,) = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
    server.sql(f"CREATE ROLE team LOGIN PASSWORD '{PASSWORD}'")
    try:
        for grant in filter(str.strip, grants.split(";")):
            server.sql(grant)
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=3, seed=0)
        hpo.optimize(store=study.replace(f"//{USER}:", "//team:"), progress=False)
        assert len(hpo.result) == 3
    finally:
        server.sql("DROP OWNED BY team")
        server.sql("DROP ROLE team")
    assert postgres_schema.FORMAT == 1
