"""Linear algebra of a suggestion on one thread, and the user's number of threads afterwards."""

from __future__ import annotations

import multiprocessing
import threading

import pytest
import scipy.linalg  # noqa: F401  its BLAS must be there to be looked at
from threadpoolctl import ThreadpoolController

from autohpo import BaseHPOptimizer, RangeHP, build_hpo_from_name
from autohpo.surrogates.blas import one_blas_thread

BLAS = ThreadpoolController().select(user_api="blas").lib_controllers
IS_SHARED = all(library.info().get("threading_layer") != "openmp" for library in BLAS)
SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]


def counts():
    """How many threads each BLAS library has."""
    return [library.get_num_threads() for library in BLAS]


def set_all(n, libraries=BLAS):
    """Set the number of threads as a user does who keeps no right to it."""
    for library in libraries:
        library.set_num_threads(n)
        getattr(library, "clear_controlling_thread", lambda: None)()


@pytest.fixture(autouse=True)
def two_threads():
    """A process in which every library may use two threads."""
    before = counts()
    set_all(2)
    if counts() != [2] * len(BLAS):
        pytest.skip("a library here cannot be given two threads")
    yield
    for library, n in zip(BLAS, before, strict=True):
        set_all(n, [library])


def test_a_block_has_one_thread_and_gives_the_others_back():
    """Also where blocks are nested, and where one raises."""
    with one_blas_thread("scipy"):
        with one_blas_thread("numpy"):
            assert counts() == [1] * len(BLAS)
        assert counts() == [1] * len(BLAS)
    assert counts() == [2] * len(BLAS)
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        1 / 0
    assert counts() == [2] * len(BLAS)


@pytest.mark.skipif(not IS_SHARED, reason="each thread of Python has a number of its own")
def test_the_last_of_two_threads_gives_the_number_back():
    """The one that entered second leaves last: it must not take the 1 that it found for the user's number."""
    entered, left = threading.Event(), threading.Event()

    def second():
        with one_blas_thread():
            entered.set()
            left.wait(10)

    with one_blas_thread():
        thread = threading.Thread(target=second)
        thread.start()
        entered.wait(10)
    assert counts() == [1] * len(BLAS)
    left.set()
    thread.join()
    assert counts() == [2] * len(BLAS)


def test_a_number_that_was_set_inside_stays():
    """Whoever sets another number in the meantime, in some thread, keeps it."""
    with one_blas_thread():
        set_all(3)
    assert counts() == [3] * len(BLAS)


def _send_counts(pipe):
    pipe.send(counts())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="nothing is forked here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_child_that_is_forked_inside_has_all_threads():
    """A child has none of the blocks that were entered in its parent."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with one_blas_thread():
        child = context.Process(target=_send_counts, args=(theirs,))
        child.start()
    assert ours.poll(10)
    assert ours.recv() == [2] * len(BLAS)
    child.join()


class Watching(BaseHPOptimizer):
    """Notes how many threads there are while it suggests."""

    linear_algebra = "scipy"

    def _get_suggestion(self, pid):
        self.inside = counts()
        return {"x": 0.5, "y": 0.5}


def test_an_algorithm_says_that_it_calls_linear_algebra():
    """It then suggests on one thread, and the objective has all of them."""
    hpo = Watching(SPACE)
    hpo.ask()
    assert hpo.inside == [1] * len(BLAS)
    assert counts() == [2] * len(BLAS)


@pytest.mark.parametrize("name", ["bayes", "ehvi", "turbo", "tpe", "auto", "autone", "cmaes", "mocmaes"])
def test_algorithms_with_models_suggest_on_one_thread(name, monkeypatch):
    """They do as members of others, too."""
    seen = []
    monkeypatch.setattr("autohpo.algorithms.parts.seen.SeenSet.update", lambda _: seen.append(counts()))
    monkeypatch.setattr("autohpo.algorithms.mocmaes.MOCMAES._get_suggestion", lambda *_: seen.append(counts()) or {})
    hpo = build_hpo_from_name(name, SPACE, seed=0)
    try:
        hpo.ask()
    except Exception:
        assert name == "mocmaes"
    assert seen[0] == [1] * len(BLAS)


def test_the_best_of_noisy_results_is_found_on_one_thread(monkeypatch):
    """The model behind ``best()`` is as large as that of a suggestion."""
    seen = []
    hpo = build_hpo_from_name("random", SPACE, seed=0, noise=True)
    for _ in range(12):
        suggestion = hpo.ask()
        hpo.tell(suggestion, suggestion["x"])
    from autohpo.surrogates.gp import GaussianProcess

    fit = GaussianProcess.fit
    monkeypatch.setattr(GaussianProcess, "fit", lambda *a: seen.append(counts()) or fit(*a))
    hpo.best()
    assert seen == [[1] * len(BLAS)]
