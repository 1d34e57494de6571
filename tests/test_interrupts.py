"""Interrupts spare imports: what is raised there may leave the lock of a module taken, and whoever imports it hangs."""

from __future__ import annotations

import sys
import threading

from autohpo import BaseHPOptimizer, RangeHP
from autohpo.interrupts import is_importing

SLOW = """
import threading, time
began.set()
until = time.monotonic() + 1.5
while time.monotonic() < until:
    time.sleep(0.01)
is_whole = True
"""


def test_a_frame_below_an_import_is_told(tmp_path, monkeypatch):
    """From the body of the module, and not any more after it."""
    (tmp_path / "looked_at_here.py").write_text("import sys\nframe = sys._getframe()\nfound = look(frame)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("builtins.look", is_importing, raising=False)
    import looked_at_here

    assert looked_at_here.found is True
    assert is_importing(sys._getframe()) is False
    assert is_importing(None) is False
    del sys.modules["looked_at_here"]


def test_what_the_driver_was_imported_from_does_not_count(tmp_path, monkeypatch):
    """A program may run a search while it is imported itself."""
    code = "def drive(look):\n    return look(__import__('sys')._getframe())\n"
    driver = {"__name__": "autohpo.driver"}
    exec(code, driver)
    (tmp_path / "program_here.py").write_text("found = drive(look)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("builtins.look", is_importing, raising=False)
    monkeypatch.setattr("builtins.drive", driver["drive"], raising=False)
    import program_here

    assert program_here.found is False
    del sys.modules["program_here"]


def test_a_stop_lets_an_import_of_an_algorithm_end(tmp_path, monkeypatch):
    """In a thread, where it is interrupted from another one: the module is whole afterwards."""
    (tmp_path / "slow_to_import_here.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    began = threading.Event()
    monkeypatch.setattr("builtins.began", began, raising=False)

    class Importing(BaseHPOptimizer):
        def _get_suggestion(self, pid):
            if self.number == 1:
                import slow_to_import_here  # noqa: F401
            return {"x": 0.5}

    hpo = Importing([RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=3)
    thread = threading.Thread(target=lambda: hpo.optimize(progress=False, grace_seconds=0.05))
    thread.start()
    assert began.wait(20)
    hpo.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert sys.modules.pop("slow_to_import_here").is_whole
