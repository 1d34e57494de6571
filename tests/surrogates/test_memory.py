"""Freed memory: matrices that are made again and again do not come from fresh pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from autohpo.surrogates.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [np.ones((500, 500)) for _ in range(6)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators do as they do")
def test_matrices_are_made_of_memory_that_was_freed():
    """Twenty times six matrices of 2 MB: each touches 488 pages that the system had to clear, before, and few after."""
    ran = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    before, after = map(int, ran.stdout.split())
    assert after < 5000
    assert before > 2 * after
