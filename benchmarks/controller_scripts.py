"""Runs random programs of a controller, and counts untyped errors, hangs, and threads and processes that are left.

    python benchmarks/controller_scripts.py --n 200 --seed 0

One line of counts; each fault goes to the standard error with its script.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "controller"))

from random_scripts import scripts  # noqa: E402 - it lies beside the tests
from script_runs import Server  # noqa: E402


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--typed", action="store_true", help="print typed errors, too")
    args = parser.parse_args()
    server, counts, began = Server(ROOT), Counter[str](), time.monotonic()

    @seed(args.seed)
    @settings(
        max_examples=args.n,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(script=scripts())
    def run(script: dict[str, object]) -> None:
        began_one = time.monotonic()
        result = server.run(script)
        counts["scripts"] += 1
        counts["typed"] += len(result["typed"])
        if args.typed:
            print(*result["typed"], sep="\n", file=sys.stderr)
        counts["told"] += result.get("n_told", 0)
        counts["faulty"] += bool(result["faults"])
        counts["slow"] += time.monotonic() - began_one > 20
        for what, how, text in result["faults"]:
            kinds = {"hang": "hangs", "threads": "threads", "processes": "processes"}
            counts[kinds.get(what, "untyped")] += 1
            print(f"--- {what} {how}\n{text}\n{json.dumps(script)}", file=sys.stderr, flush=True)

    run()
    server.close()
    names = ("scripts", "faulty", "untyped", "hangs", "threads", "processes", "slow", "typed", "told")
    line = ", ".join(f"{name} {counts[name]}" for name in names)
    print(f"{line}, {time.monotonic() - began:.0f} s")
    sys.exit(bool(counts["faulty"]))


if __name__ == "__main__":
    main()
