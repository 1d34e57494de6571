"""Digests: equal for what does the same, in every process, and different for all else."""

import functools
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from autohpo.spaces.digest import are_comparable, can_import, digest_of

PROGRAM = """
import functools, sys
from autohpo.spaces.digest import digest_of
STEPS = 3
class Optimizer:
    def __init__(self, lr): self.lr, self.names = lr, {"a", "b", "c"}
    def step(self, x): return helper(x) * self.lr
    def __call__(self, hp): return self.step(hp["x"])
def helper(x): return x + STEPS if x in {"p", "q", "r"} else x
def make(k): return lambda x: x * k
values = [Optimizer(.1), make(2), functools.partial(helper, 3), Optimizer(.2).step, lambda x: {"a", "b"}]
print([digest_of(v) for v in [*values, Optimizer, helper]])
"""


def test_digests_are_equal_in_every_process(tmp_path):
    """Other hash seeds, other addresses, another file and other line numbers."""
    texts = set()
    for seed in ("1", "2"):
        path = tmp_path / f"script{seed}.py"
        path.write_text("\n" * int(seed) + PROGRAM)
        texts.add(subprocess.check_output([sys.executable, str(path)], env={**os.environ, "PYTHONHASHSEED": seed}))
    assert len(texts) == 1
    assert b"None" not in texts.pop()


class Optimizer:
    """An object without a repr of its own."""

    def __init__(self, lr):
        self.lr = lr

    def __call__(self, hp):
        return hp["x"] * self.lr


def _local(n):
    class Local:
        def run(self):
            return n

    return Local


def _scaled(k, places=3):
    return lambda x: round(x * k, places)


def _make_act(name):
    scope = {}
    exec(f"def act(x):\n    '''{name}'''\n    return {name}(x)", scope)
    return scope["act"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda x: x, lambda x: -x),
        (lambda x: x.upper(), lambda x: x.lower()),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x=1: x, lambda x=2: x),
        (lambda *, x=1: x, lambda *, x=2: x),
        (_scaled(1), _scaled(2)),
        (_scaled([1]), _scaled([2])),
        (_make_act("sin"), _make_act("cos")),
        (functools.partial(pow, 2), functools.partial(pow, 3)),
        (functools.partial(int, base=2), functools.partial(int, base=3)),
        (Optimizer(0.1), Optimizer(0.2)),
        (Optimizer(0.1).__call__, Optimizer(0.2).__call__),
        (Optimizer(lambda: 1), Optimizer(lambda: 2)),
        (_local(1), _local(2)),
        (_local(1)(), _local(2)()),
        (np.arange(3), np.arange(4)),
        (np.arange(2000), np.arange(2000)[::-1]),
        (functools.lru_cache(lambda x: x), functools.lru_cache(lambda x: -x)),
        (np.sin, np.cos),
        (len, abs),
    ],
)
def test_different_code_or_values_have_different_digests(first, second):
    """Each has the same name, or none, as the other."""
    assert digest_of(first) is not None
    assert digest_of(second) is not None
    assert digest_of(first) != digest_of(second)


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda x: x + 1,
        lambda: _scaled(2.0),
        lambda: functools.partial(pow, 2),
        lambda: Optimizer({"b": 1, "a": {3, 2}}),
        lambda: _local((1, "a")),
        lambda: np.arange(5.0),
        lambda: Optimizer(0.5).__call__,
    ],
)
def test_the_same_code_and_values_have_the_same_digest(make):
    """Two objects made alike are alike."""
    assert digest_of(make()) == digest_of(make())
    assert digest_of(make()) is not None


def test_an_object_without_a_value_has_no_digest():
    """A lock or an open generator cannot be told by its value, nor what holds one."""
    assert digest_of(threading.Lock()) is None
    assert digest_of(Optimizer(threading.Lock())) is None
    assert digest_of(_scaled(threading.Lock())) is None


def test_a_value_that_holds_itself_has_a_digest():
    """Cycles end, and what stands in them counts."""

    def made(lr):
        one = Optimizer(lr)
        one.self = [one]
        return one

    assert digest_of(made(1)) == digest_of(made(1)) != digest_of(made(2))


def test_a_helper_of_the_same_module_belongs_to_the_function():
    """A function that calls another one changes with it."""

    def objective(constant, body):
        scope = {"__name__": "trainer"}
        exec(f"STEPS = {constant}\ndef helper(x): return {body}\ndef f(hp): return helper(hp) + STEPS", scope)
        return scope["f"]

    assert digest_of(objective(1, "x")) == digest_of(objective(1, "x"))
    assert len({digest_of(objective(c, b)) for c in (1, 2) for b in ("x", "-x")}) == 4


def test_state_may_be_left_out():
    """An objective that counts its calls is the same function after each; what cannot change counts all the same."""
    calls = []

    def f(hp):
        calls.append(hp)

    before = digest_of(f, with_state=False)
    f(1)
    assert digest_of(f, with_state=False) == before
    assert digest_of(_scaled(1), with_state=False) != digest_of(_scaled(2), with_state=False)


def test_digests_of_code_name_the_version_of_python():
    """Another version compiles otherwise: the two say nothing of each other."""
    assert digest_of(lambda: 1).startswith(sys.implementation.cache_tag)
    assert ":" not in digest_of((1, 2))
    assert are_comparable("cpython-310:ab", "cpython-310:cd")
    assert not are_comparable("cpython-310:ab", "cpython-311:ab")


def test_a_name_says_all_where_it_leads_to_the_value():
    """Not for a function made inside another, nor for one whose name was taken over."""
    assert can_import(Optimizer)
    assert can_import(len)
    assert not can_import(_local(1))
    assert not can_import(lambda: 1)
    assert not can_import(_make_act("sin"))
