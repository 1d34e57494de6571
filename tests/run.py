"""Run all tests; where a few fail, run those once more, alone, and say so.

Some tests start processes, kill them and wait for what follows; on a machine that is busy with other work one of eleven
thousand may come too late. A fault of the code fails twice. More than `MOST` failures are not tried again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 3
TESTS_FAILED = 1  # pytest's exit code; a run that broke off has another one


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Return the exit code: that of the first run, or of the second where there is one."""
    noted = root / ".pytest_cache/v/cache/lastfailed"
    noted.unlink(missing_ok=True)
    pytest = [sys.executable, "-m", "pytest", "-q"]
    code = subprocess.run([*pytest, *arguments], cwd=root, check=False).returncode
    if code != TESTS_FAILED or not noted.exists():
        return code
    failed = sorted(json.loads(noted.read_text()))
    if len(failed) > MOST:
        return code
    print(f"\n{len(failed)} failed. Once more, alone: {', '.join(failed)}", flush=True)
    code = subprocess.run([*pytest, *failed], cwd=root, check=False).returncode
    if not code:
        print(f"passed only when run again: {', '.join(failed)}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
