"""Checkpoints under a URL: a state is seen whole or not at all, and who was given up does no harm."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter

import fsspec
import pytest

from autohpo import CheckpointError, OptionError, RangeHP, Result, build_hpo_from_name, shared_storage
from autohpo.checkpoint_places import LocalPlace, SharedPlace, place_of
from autohpo.errors import MissingExtraError
from autohpo.mirrors import Mirror, mirror_of
from autohpo.shared_storage import SharedFolder, key_of
from autohpo.trial import Task


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(shared_storage, "_PAUSE_SECONDS", 0.01)


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    """The URL of an empty folder, of both kinds of storage that are here."""
    if request.param == "file":
        yield f"file://{tmp_path}/shared"
        return
    _clear()
    yield "memory://shared"
    _clear()


def _clear():
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def task_of(url, number=0, attempt=1, root=0):
    """An attempt at a trial."""
    return Task(number, attempt, {}, root=root, checkpoint_dir=f"{url}/trial-{root}")


def content(folder):
    """Every file below a folder, and what is in it."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def objects(url, root=0):
    """How many objects a folder has, states included."""
    fs, path = fsspec.core.url_to_fs(f"{url}/trial-{root}")
    return len(fs.find(path)) if fs.exists(path) else 0


def test_what_one_attempt_saved_the_next_one_finds(url):
    """On another machine, with folders in folders, empty files, and what was removed meanwhile."""
    mirror = Mirror(task_of(url))
    (mirror.folder / "deep" / "er").mkdir(parents=True)
    (mirror.folder / "deep" / "er" / "model").write_text("one")
    (mirror.folder / "empty").write_text("")
    mirror.save()
    (mirror.folder / "empty").unlink()
    (mirror.folder / "late").write_text("two")
    mirror.end(keeps_folder=False)
    again = Mirror(task_of(url, number=5))
    assert content(again.folder) == {"deep/er/model": "one", "late": "two"}
    again.end(keeps_folder=False)
    assert not again.folder.exists() or content(again.folder)


def test_only_what_has_changed_is_saved(url):
    """A model of gigabytes beside a small log is not sent again with each line; nothing of old states stays."""
    mirror = Mirror(task_of(url))
    (mirror.folder / "model").write_text("large")
    (mirror.folder / "log").write_text("1")
    mirror.save()
    mirror.save()
    put, puts = mirror._shared.put, []
    mirror._shared.put = lambda source, name: (puts.append(source.name), put(source, name))
    (mirror.folder / "log").write_text("12")
    mirror.save()
    assert puts == ["log"]
    assert objects(url) == 3
    assert content(Mirror(task_of(url, 1)).folder) == {"model": "large", "log": "12"}


def test_a_paused_training_saves_under_the_attempt_that_goes_on(url):
    """Everything anew, once it has changed anything: objects of an earlier attempt are not the later one's to keep."""
    mirror = mirror_of(task_of(url))
    (mirror.folder / "model").write_text("large")
    (mirror.folder / "log").write_text("1")
    mirror.end(keeps_folder=True)
    first = mirror._shared.state()
    assert mirror_of(task_of(url, number=4), mirror) is mirror
    mirror.save()
    assert mirror._shared.state() == first
    (mirror.folder / "log").write_text("12")
    mirror.save()
    mirror.save()
    assert mirror._n == 1, "a save without a change is no new state"
    assert all(name.startswith(f"objects/{key_of(4, 1)}-") for name in mirror._shared.state().values())
    assert content(Mirror(task_of(url, 5)).folder) == {"model": "large", "log": "12"}


def test_an_objective_that_asks_for_no_folder_costs_nothing(url):
    """The storage is not even looked at."""
    mirror = Mirror(task_of("nothing-of-the-kind://x"))
    mirror.save()
    mirror.end(keeps_folder=False)
    assert objects(url) == 0


def test_a_state_that_was_not_finished_is_not_seen(url, monkeypatch):
    """Killed between any two steps of a save, the folder is as it was before or as it was to be."""
    before, after = {"a": "1", "b": "1"}, {"a": "2", "c": "2"}
    n_steps = 0
    while True:
        fs, path = fsspec.core.url_to_fs(f"{url}/trial-0")
        if fs.exists(path):
            fs.rm(path, recursive=True)
        mirror = Mirror(task_of(url))
        for name, text in before.items():
            (mirror.folder / name).write_text(text)
        mirror.save()
        (mirror.folder / "b").unlink()
        for name, text in after.items():
            (mirror.folder / name).write_text(text)
        steps = []
        step = SharedFolder._try

        def counted(self, what, steps=steps, step=step, n=n_steps):
            if len(steps) == n:
                raise KeyboardInterrupt
            steps.append(what)
            return step(self, what)

        monkeypatch.setattr(SharedFolder, "_try", counted)
        try:
            mirror.save()
            is_whole = True
        except KeyboardInterrupt:
            is_whole = False
        monkeypatch.setattr(SharedFolder, "_try", step)
        found = content(Mirror(task_of(url, attempt=2)).folder)
        assert found in (before, after), n_steps
        if is_whole:
            assert found == after
            break
        n_steps += 1
    assert n_steps > 6


def test_an_attempt_that_was_given_up_changes_nothing(url):
    """It goes on writing, while another one goes on from its last state: whatever the order, the later one counts."""
    rng = random.Random(0)
    for _ in range(20):
        folder = SharedFolder(f"{url}/trial-0")
        folder.remove()
        old = Mirror(task_of(url))
        (old.folder / "model").write_text("0")
        old.save()
        new = Mirror(task_of(url, attempt=2))
        assert content(new.folder) == {"model": "0"}
        texts = {}
        for n in range(8):
            mirror = rng.choice([old, new])
            texts[mirror] = f"{n}" * (n + 1)
            (mirror.folder / "model").write_text(texts[mirror])
            mirror.save()
        wanted = texts.get(new, texts.get(old))
        assert content(Mirror(task_of(url, 9)).folder) == {"model": wanted}


def test_a_state_that_leads_out_of_the_folder_is_ignored(url, tmp_path):
    """Who can write to the storage must not write anywhere else."""
    import zlib

    for file in ("../../evil", "/tmp/evil", "a/../../evil", "C:evil", "..\\evil"):
        files = {file: "objects/x"}
        fs, path = fsspec.core.url_to_fs(f"{url}/trial-0")
        fs.makedirs(f"{path}/objects", exist_ok=True)
        fs.pipe_file(f"{path}/objects/x", b"evil")
        state = {"files": files, "crc": zlib.crc32(json.dumps(files).encode())}
        fs.pipe_file(f"{path}/state-{key_of(0, 1)}-00000001.json", json.dumps(state).encode())
        assert content(Mirror(task_of(url, 1)).folder) == {}, file


def test_a_fork_begins_with_the_last_state_of_another_training(url):
    """And goes on for itself: neither sees what the other one writes."""
    place = SharedPlace(url)
    source = Mirror(task_of(url))
    assert place.copy(0, 3) is False
    (source.folder / "model").write_text("parent")
    source.save()
    assert place.copy(0, 3) is True
    child = Mirror(task_of(url, 3, root=3))
    assert content(child.folder) == {"model": "parent"}
    (child.folder / "model").write_text("child")
    child.save()
    assert place.copy(0, 3) is True
    assert content(Mirror(task_of(url, 4, root=3)).folder) == {"model": "child"}
    assert content(Mirror(task_of(url, 4)).folder) == {"model": "parent"}


def test_folders_are_found_and_removed(url):
    """Those of trials that the log has lost, too; what is no folder of ours stays."""
    place = SharedPlace(url + "/")
    for root in (0, 1, 7):
        mirror = Mirror(task_of(url, root, root=root))
        (mirror.folder / "model").write_text("x")
        mirror.end(keeps_folder=False)
    fs, path = fsspec.core.url_to_fs(url)
    fs.pipe_file(f"{path}/notes.txt", b"mine")
    assert sorted(place.roots(5)) == [0, 1]
    place.remove(0)
    place.remove(99)
    place.close()
    assert [objects(url, root) for root in (0, 1, 7)] == [0, 2, 0]
    assert fs.cat_file(f"{path}/notes.txt") == b"mine"


def test_storage_that_fails_for_a_moment_is_tried_again(url, monkeypatch):
    """And one that goes on failing is named, with its reason."""
    mirror = Mirror(task_of(url))
    (mirror.folder / "model").write_text("x")
    fs = mirror._shared._fs
    put, n = fs.put_file, []

    def flaky(*given, **options):
        n.append(1)
        if len(n) < 4:
            raise ConnectionResetError("try later")
        return put(*given, **options)

    monkeypatch.setattr(fs, "put_file", flaky)
    mirror.save()
    assert content(Mirror(task_of(url, 1)).folder) == {"model": "x"}

    def broken(*given, **options):
        raise PermissionError("no")

    monkeypatch.setattr(fs, "put_file", broken)
    (mirror.folder / "model").write_text("xyz")
    with pytest.raises(CheckpointError, match=r"checkpoints: .*trial-0 cannot be used: PermissionError: no"):
        mirror.save()
    with pytest.warns(RuntimeWarning, match="what trial 0 has left could not be saved"):
        mirror.end(keeps_folder=False)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (3, OptionError, "checkpoints: must be the path of a folder or a URL, got 3"),
        ("", OptionError, "checkpoints: must be the path of a folder or a URL, got ''"),
        ("gopher://x/y", OptionError, "checkpoints: must be a URL that fsspec knows, got 'gopher://x/y'"),
        ("sftp://me:secret@host/x", OptionError, "must have no user or password in it, but sftp://"),
        ("s3://bucket/x", MissingExtraError, "checkpoints: s3:// needs another package"),
        ("/dev/null/x", OptionError, "checkpoints: must be a folder that can be made"),
    ],
)
def test_a_place_that_is_none_is_named(given, error, text):
    """Before a trial runs, and without the password."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=1)
    with pytest.raises(error, match=text) as caught:
        hpo.optimize(checkpoints=given, progress=False)
    assert "secret" not in str(caught.value)


def test_a_path_is_a_folder_that_all_machines_see(tmp_path):
    """Nothing is copied then: the objective writes there itself."""
    place = place_of(tmp_path / "shared")
    assert isinstance(place, LocalPlace)
    assert place.folder(3) == str(tmp_path / "shared" / "trial-3")
    assert mirror_of(Task(3, 1, {}, checkpoint_dir=place.folder(3))) is None


def train(hps, trial):
    """A training that goes on from its checkpoint, and says so."""
    path = trial.checkpoint_dir / "epoch"
    first = int(path.read_text()) if path.exists() else 0
    if first:
        trial.resume_at(first)
    for epoch in range(first + 1, 10):
        path.write_text(str(epoch))
        if not trial.report(hps["x"] * epoch, metrics={"began": first}):
            return


@pytest.mark.skipif(os.name != "posix", reason="needs worker processes")
@pytest.mark.parametrize("algorithm", ["hyperband", "pbt"])
def test_trainings_go_on_from_what_is_kept_under_a_url(tmp_path, algorithm):
    """Promoted ones in whichever worker, forked ones from a copy; in the end only what is needed is there."""
    url = f"file://{tmp_path}/shared"
    hpo = build_hpo_from_name(
        algorithm, [RangeHP("x", 0.0, 1.0)], train, max_evals=24, seed=0, max_fidelity=9, **_options(algorithm)
    )
    hpo.optimize(num_workers=2, checkpoints=url, store=tmp_path / "run.db", progress=False)
    assert set(hpo.result.counts()) == {"COMPLETE"}
    went_on = [trial for trial in hpo.result if trial.resume is not None or trial.fork is not None]
    assert went_on
    for trial in went_on:
        before = hpo.result.trials[trial.resume if trial.resume is not None else trial.fork]
        assert trial.metrics["began.min"] == before.reached, trial
    there = {path.name for path in (tmp_path / "shared").iterdir()}
    assert 0 < len(there) < 24
    assert f"trial-{_root(hpo.result, hpo.result.best)}" in there


def _options(algorithm):
    return {"population_size": 4} if algorithm == "pbt" else {}


def _root(result, trial):
    while trial.resume is not None:
        trial = result.trials[trial.resume]
    return trial.number


PROGRAM = """
import os, sys, signal
from autohpo.mirrors import Mirror
from autohpo.trial import Task
mirror = Mirror(Task(0, 1, {}, root=0, checkpoint_dir=sys.argv[1]))
n = 0
while True:
    n += 1
    for name in "abc":
        (mirror.folder / name).write_text(str(n) * 1000)
    mirror.save()
    print(n, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_worker_that_is_killed_while_it_saves_leaves_a_whole_state(tmp_path):
    """Ten kills: all files are of one state, and no older than the last that was saved."""
    sizes = Counter()
    for k in range(10):
        url = f"file://{tmp_path}/shared-{k}"
        with subprocess.Popen([sys.executable, "-c", PROGRAM, url], stdout=subprocess.PIPE, text=True) as process:
            last = 0
            for line in process.stdout:
                last = int(line)
                if last >= 5 + k:
                    process.kill()
                    break
            last = max([last, *map(int, process.stdout.read().split())])
        found = content(Mirror(Task(0, 2, {}, root=0, checkpoint_dir=url)).folder)
        assert sorted(found) == ["a", "b", "c"]
        assert len({*found.values()}) == 1
        state = int(found["a"][: len(found["a"]) // 1000])
        assert state in (last, last + 1)
        sizes[state - last] += 1


@pytest.mark.parametrize("kind", ["url", "path", "beside"])
def test_the_best_checkpoint_is_fetched_wherever_it_is_kept(tmp_path, kind):
    """From the result, and from the store later; what is not there is named."""

    def f(hps, trial):
        (trial.checkpoint_dir / "model").write_text(str(hps["x"]))
        return hps["x"]

    places = {"url": f"file://{tmp_path}/shared", "path": tmp_path / "shared", "beside": None}
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=5, seed=0)
    best_hp, _ = hpo.optimize(checkpoints=places[kind], store=tmp_path / "run.db", progress=False)
    for n, result in enumerate((hpo.result, Result.load(tmp_path / "run.db"))):
        folder = result.fetch_checkpoint(result.best.number, tmp_path / f"best-{n}")
        assert (folder / "model").read_text() == str(best_hp["x"])
        assert (result.checkpoint_dir(result.best.number) is None) == (kind == "url")
        with pytest.raises(OptionError, match="folder: must be empty, or not there yet"):
            result.fetch_checkpoint(0, folder)
        with pytest.raises(OptionError, match="folder: must be a path, got 5"):
            result.fetch_checkpoint(0, 5)
    fs, path = fsspec.core.url_to_fs(str(tmp_path / ("run.db.files" if kind == "beside" else "shared")))
    fs.rm(f"{path}/trial-0", recursive=True)
    with pytest.raises(OptionError, match="number: trial 0 has left no checkpoint, or has none any more"):
        hpo.result.fetch_checkpoint(0, tmp_path / "nothing")
