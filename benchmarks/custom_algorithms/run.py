"""Custom algorithms beside other libraries: the lines that a user writes, and what they find on one toy.

    python benchmarks/custom_algorithms/run.py [--seeds 3] [LIBRARY ...]

In each ``with_LIBRARY.py`` stand a random search and a model-based search (a forest with expected improvement; the
model is in ``shared.py`` and counts nowhere), both written as that library wants them, and both run for real: that
library's own loop calls them. Counted are the lines between ``# begin`` and ``# end`` that are neither blank nor
comments nor docstrings; imports, the space and the call that runs the search are not counted. A library that is not
installed is counted all the same, and not run.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
LIBRARIES = ("autohpo", "optuna", "ray", "syne_tune", "blackboxopt", "nevergrad")


def lines_of(text: str) -> int:
    """Count the lines of a piece of code that are neither blank nor comments nor docstrings."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
        for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    return sum(
        1
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.strip().startswith("#") and number not in docstrings
    )


def counts(library: str) -> dict[str, int]:
    """The lines of the two algorithms in a library."""
    text = (HERE / f"with_{library}.py").read_text()
    parts = re.findall(r"^# begin (\w+)\n(.*?)^# end$", text, flags=re.MULTILINE | re.DOTALL)
    return {kind: lines_of(code) for kind, code in parts}


def main() -> None:
    """Print a row for each library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"of {', '.join(LIBRARIES)}; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=25)
    args = parser.parse_args()
    sys.path.insert(0, str(HERE))
    importlib.import_module("shared").N_TRIALS = args.trials  # before the modules take it from there
    print(f"{'library':<14}{'lines random':>13}{'model':>7}   median best loss: random, model")
    for library in args.libraries or LIBRARIES:
        n = counts(library)
        try:
            module = importlib.import_module(f"with_{library}")
        except ImportError as error:
            found = f"not run: {error}"
        else:
            runs = {kind: [module.run(kind, seed) for seed in range(args.seeds)] for kind in n}
            found = ", ".join(f"{median(min(losses) for losses in runs[kind]):.3f}" for kind in n)
            found += f"   ({', '.join(str(len(runs[kind][0])) for kind in n)} trials)"
        print(f"{library:<14}{n['random']:>13}{n['model']:>7}   {found}", flush=True)


if __name__ == "__main__":
    main()
