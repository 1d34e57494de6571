"""The registry: names of built-in algorithms, of the user's own, and of installed plug-ins."""

from __future__ import annotations

import importlib
import json
import logging
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, OptionError, RangeHP, RegistryError, SearchSpace, SpaceError
from autohpo.algorithms import registry
from autohpo.algorithms.registry import (
    ALIASES,
    AlgorithmName,
    available_hpos,
    build_hpo_from_name,
    canonical_name,
    get_hpo,
    name_of,
    register_hpo,
)

SPACE = [RangeHP("x", 0.0, 1.0)]
BUILT_IN = {"grid", "quasi_random", "random"}

GOOD = """
from autohpo import BaseHPOptimizer

class Middle(BaseHPOptimizer):
    def _get_suggestion(self, pid):
        return {"x": 0.5}

class NoAlgorithm:
    pass
"""


@pytest.fixture(autouse=True)
def _clean_registry():
    """What a test registers is forgotten after it; built-in algorithms stay, since their modules stay loaded."""
    kept = {*registry._REGISTERED, *registry._built_in_names(), *registry._of_families()}
    yield
    for name in set(registry._REGISTERED) - kept:
        del registry._REGISTERED[name]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Makes a package with entry points look installed: a folder of metadata on the path is all that pip leaves."""

    def install(package, code, points):
        folder = tmp_path / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[autohpo.algorithms]\n" + "\n".join(points) + "\n")
        monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
        importlib.invalidate_caches()
        return folder

    yield install
    for name in [name for name in sys.modules if name.startswith("plugin_")]:
        del sys.modules[name]


class Mine(BaseHPOptimizer):
    """An algorithm of the user's own."""

    def _get_suggestion(self, pid):
        return {"x": 0.25}


def test_registered_class_is_built_by_its_name():
    """A decorator is all it takes to make an algorithm known."""
    assert register_hpo("mine")(Mine) is Mine
    assert "mine" in available_hpos()
    assert get_hpo("mine") is Mine
    assert name_of(Mine) == "mine"
    hpo = build_hpo_from_name("mine", SPACE, abs, max_evals=3, seed=1, mode="min")
    assert (type(hpo), hpo.f, hpo.max_evals, hpo.seed, hpo.mode) == (Mine, abs, 3, 1, "min")


def test_class_that_is_not_registered_is_named_by_its_place():
    """A log still says what ran."""
    assert name_of(Mine) == f"{Mine.__module__}.Mine"


def test_built_in_algorithms_are_known_by_their_files():
    """The name of the file is the name in the registry."""
    assert set(available_hpos()) >= BUILT_IN
    assert available_hpos() == sorted(available_hpos())
    for name in BUILT_IN:
        assert get_hpo(name).__module__ == f"autohpo.algorithms.{name}"
        assert name_of(get_hpo(name)) == name


def test_the_names_that_type_checkers_know_are_all_there_are():
    """Whoever adds an algorithm, or an alias, adds it to the type: editors offer what stands there."""
    names = get_args(AlgorithmName)
    assert list(names) == sorted(set(names))
    assert set(names) == {*registry._built_in_names(), *ALIASES}


def test_an_alias_is_another_name_of_the_same_algorithm():
    """It builds the same class, which is known by its own name; what it suggests is what that suggests."""
    assert "motpe" in available_hpos()
    assert get_hpo("motpe") is get_hpo("tpe")
    assert name_of(get_hpo("motpe")) == "tpe"
    hpos = [build_hpo_from_name(name, SPACE, seed=2, n_startup=1, gamma=0.3) for name in ("tpe", "motpe")]
    for _ in range(5):
        suggestions = [hpo.ask() for hpo in hpos]
        assert suggestions[0] == suggestions[1]
        for hpo, suggestion in zip(hpos, suggestions, strict=True):
            hpo.tell(suggestion, suggestion["x"])


def test_every_name_has_a_canonical_one():
    """A store that was written under an alias holds the same algorithm; an unknown name stands for itself."""
    assert canonical_name("motpe") == canonical_name("tpe") == "tpe"
    assert canonical_name("random") == "random"
    assert canonical_name("my_package.Mine") == "my_package.Mine"
    for alias, name in ALIASES.items():
        assert alias not in registry._built_in_names()
        assert name in registry._built_in_names()


def test_an_alias_is_taken_as_well(install, caplog):
    """Neither a class of one's own nor a plug-in can have it."""
    with pytest.raises(RegistryError, match="motpe: is the name of a built-in algorithm; choose another"):
        register_hpo("motpe")(Mine)
    install("plugin_thief", GOOD, ["motpe = plugin_thief:Middle"])
    with caplog.at_level(logging.WARNING, logger="autohpo"):
        assert get_hpo("motpe") is get_hpo("tpe")
        assert available_hpos().count("motpe") == 1
    assert "plug-in plugin_thief:Middle is ignored: motpe is the name of a built-in algorithm" in caplog.text


def test_errors_name_an_alias_as_the_user_wrote_it():
    """The name in the text is the one in the user's program."""
    with pytest.raises(OptionError, match="^gama: motpe has no such option; did you mean 'gamma'"):
        build_hpo_from_name("motpe", SPACE, gama=0.1)


@pytest.mark.parametrize(
    ("space", "options", "feature", "what"),
    [
        (SearchSpace(SPACE, constraints=["x < 0.5"]), {}, "constraints", "constraints on the space"),
        (SPACE, {"mode": ["min", "max"]}, "objectives", "several objectives"),
    ],
    ids=["constraints", "objectives"],
)
def test_a_problem_that_an_algorithm_does_not_take_lists_those_that_do(space, options, feature, what):
    """Built by name the error lists the others; the class alone knows no others, and says what it would have to say."""
    register_hpo("mine")(Mine)
    with pytest.raises(OptionError) as caught:
        build_hpo_from_name("mine", space, **options)
    told, listed = str(caught.value).split("; these do: ")
    assert told == f"{feature}: mine does not take {what}"
    names = listed.split(", ")
    ours = [name for name in available_hpos() if ":" not in name]  # other libraries' are not loaded to tell
    assert names == sorted(name for name in ours if feature in get_hpo(name).supports)
    assert {"random", "tpe", "motpe"} <= set(names)
    with pytest.raises(OptionError) as caught:
        Mine(space, **options)
    assert str(caught.value) == f"{feature}: Mine does not take {what}; '{feature}' is not in Mine.supports"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_algorithm_inside_another_is_named_where_it_is_the_one_that_does_not_take_the_problem():
    """The outer algorithm takes several objectives, so it must not be blamed."""

    @register_hpo("outer")
    class Outer(Mine):
        supports: ClassVar = frozenset({"objectives"})

        def __post_init__(self):
            super().__post_init__()
            Mine(self.space, mode=self.mode)

    with pytest.raises(OptionError) as caught:
        build_hpo_from_name("outer", SPACE, mode=["min", "max"])
    assert str(caught.value).startswith("objectives: Mine does not take several objectives; 'objectives' is not in")


def test_a_sampler_that_does_not_take_the_problem_is_told_those_that_do():
    """Not that a word is missing in its class, which the user of a built-in one cannot change."""
    said = "CMAES does not take several objectives; these samplers do: .*ehvi"
    with pytest.raises(OptionError, match=said) as caught:
        build_hpo_from_name("asha", SPACE, max_fidelity=9, sampler="cmaes", mode=["min", "max"])
    assert "hyperband" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "Mine", "my-own", "1st", "a b", "ä", "mine\n", None, 3, ("mine",)])
def test_malformed_names_are_refused(name):
    """A name must be one that is safe on a command line, in a file and in a URL."""
    with pytest.raises(RegistryError, match="name: must be lower-case letters, digits and underscores, got"):
        register_hpo(name)(Mine)


@pytest.mark.parametrize("cls", [object, int, Mine(SPACE), lambda: None, None])
def test_what_is_no_algorithm_is_refused(cls):
    """What is wrong shows when it is registered, not when it is used."""
    with pytest.raises(RegistryError, match="mine: must be a subclass of BaseHPOptimizer, got"):
        register_hpo("mine")(cls)


def test_class_without_suggestions_is_refused():
    """The one hook that must be written is looked for."""

    class Lazy(BaseHPOptimizer):
        pass

    with pytest.raises(RegistryError, match=r"lazy: Lazy must define _get_suggestion\(self, pid\)"):
        register_hpo("lazy")(Lazy)


def test_taken_names_are_refused():
    """Neither a built-in algorithm nor somebody else's can be replaced by accident."""
    register_hpo("mine")(Mine)

    class Other(Mine):
        pass

    with pytest.raises(RegistryError, match=r"mine: is taken by .*Mine; choose another"):
        register_hpo("mine")(Other)
    with pytest.raises(RegistryError, match="random: is the name of a built-in algorithm; choose another"):
        register_hpo("random")(Mine)
    assert get_hpo("mine") is Mine


def test_class_defined_again_replaces_itself():
    """A cell of a notebook may be run twice."""

    def cell():
        class Notebook(Mine):
            pass

        return register_hpo("notebook")(Notebook)

    first, second = cell(), cell()
    assert first is not second
    assert get_hpo("notebook") is second


def test_unknown_name_lists_the_known_ones():
    """The nearest name is offered where one is near, and all are listed."""
    with pytest.raises(RegistryError) as caught:
        get_hpo("randon")
    assert str(caught.value) == (
        f"'randon': no such algorithm; did you mean 'random'? Algorithms: {', '.join(available_hpos())}"
    )
    with pytest.raises(RegistryError, match=r"'zzzzzz': no such algorithm\. Algorithms: "):
        build_hpo_from_name("zzzzzz", SPACE)
    with pytest.raises(RegistryError, match="None: no such algorithm"):
        get_hpo(None)


def test_unknown_option_lists_the_known_ones():
    """A misspelt option must not be silently without effect."""
    with pytest.raises(OptionError) as caught:
        build_hpo_from_name("grid", SPACE, step=3)
    assert str(caught.value) == (
        "step: grid has no such option; did you mean 'steps'? "
        "Options: max_evals, mode, noise, order, points, seed, steps, stop_hopeless"
    )
    for reserved in ("space", "f"):
        with pytest.raises((OptionError, TypeError)):
            build_hpo_from_name("grid", SPACE, None, **{reserved: SPACE})


def test_alias_of_an_option_means_the_option():
    """Names of other libraries are understood; a name and its alias together are an error."""

    @register_hpo("aliased")
    @dataclass(eq=False, kw_only=True)
    class Aliased(Mine):
        option_aliases: ClassVar = {"max_budget": "max_fidelity"}

        max_fidelity: float = 9.0

    assert build_hpo_from_name("aliased", SPACE, max_budget=27.0).max_fidelity == 27.0
    with pytest.raises(OptionError, match="max_budget: means max_fidelity, which was given too"):
        build_hpo_from_name("aliased", SPACE, max_budget=27.0, max_fidelity=27.0)


def test_space_may_be_a_list_or_a_space():
    """Both mean the same; anything else is refused."""
    space = SearchSpace(SPACE)
    assert build_hpo_from_name("random", space).space is space
    assert build_hpo_from_name("random", SPACE).space == space
    with pytest.raises(SpaceError, match="space: must be a list of parameters, got RangeHP"):
        build_hpo_from_name("random", SPACE[0])


def test_plug_in_is_found_by_its_entry_point(install):
    """An installed package makes an algorithm known without being imported first."""
    install("plugin_good", GOOD, ["middle = plugin_good:Middle"])
    assert "middle" in available_hpos()
    assert "plugin_good" not in sys.modules
    assert build_hpo_from_name("middle", SPACE).ask() == {"x": 0.5}
    assert name_of(get_hpo("middle")) == "middle"


@pytest.mark.parametrize(
    ("code", "point", "text"),
    [
        ("raise RuntimeError('no GPU')", "bad = plugin_bad:X", "plugin_bad:X cannot be loaded: RuntimeError: no GPU"),
        ("import sys; sys.exit(3)", "bad = plugin_bad:X", "plugin_bad:X cannot be loaded: SystemExit: 3"),
        ("", "bad = plugin_bad:X", "plugin_bad:X cannot be loaded: AttributeError"),
        ("", "bad = plugin_other:X", "plugin_other:X cannot be loaded: ModuleNotFoundError"),
        (GOOD, "bad = plugin_bad:NoAlgorithm", "bad: must be a subclass of BaseHPOptimizer, got"),
    ],
)
def test_broken_plug_in_is_named_and_harms_nobody_else(install, code, point, text):
    """Its own name gives an error that names it; all other names still work."""
    install("plugin_bad", code, [point])
    install("plugin_good", GOOD, ["middle = plugin_good:Middle"])
    assert {"bad", "middle", *BUILT_IN} <= set(available_hpos())
    with pytest.raises(RegistryError) as caught:
        get_hpo("bad")
    assert text in str(caught.value)
    assert str(caught.value).startswith("bad: ")
    assert build_hpo_from_name("middle", SPACE).ask() == {"x": 0.5}
    assert build_hpo_from_name("random", SPACE).ask().number == 0


def test_plug_in_cannot_shadow_a_built_in(install, caplog):
    """A package that is installed for something else must not change what `random` means."""
    install("plugin_thief", GOOD, ["random = plugin_thief:Middle"])
    with caplog.at_level(logging.WARNING, logger="autohpo"):
        assert available_hpos().count("random") == 1
    assert "plug-in plugin_thief:Middle is ignored: random is the name of a built-in algorithm" in caplog.text
    assert get_hpo("random").__module__ == "autohpo.algorithms.random"


def test_second_plug_in_of_a_name_is_ignored_aloud(install, caplog):
    """Which of two packages wins must not be a secret."""
    install("plugin_first", GOOD, ["middle = plugin_first:Middle"])
    install("plugin_second", GOOD, ["middle = plugin_second:Middle"])
    with caplog.at_level(logging.WARNING, logger="autohpo"):
        assert get_hpo("middle").__module__ == "plugin_first"
    assert "plug-in plugin_second:Middle is ignored: middle is the name of plug-in plugin_first:Middle" in caplog.text


def test_listing_imports_nothing(install):
    """Neither plug-ins nor built-in algorithms are loaded to tell their names, so a broken one cannot break it."""
    folder = install("plugin_bad", "raise RuntimeError", ["bad = plugin_bad:X"])
    code = (
        "import sys, json; from autohpo import available_hpos; names = available_hpos();"
        "loaded = [m for m in sys.modules if m.startswith('autohpo.algorithms.') or m.startswith('plugin_')];"
        "print(json.dumps([names, loaded]))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join([p for p in sys.path if p] + [str(folder)])},
    )
    names, loaded = json.loads(child.stdout)
    assert {"bad", *BUILT_IN} <= set(names)
    # What the interface itself is made of:
    known = {"base", "interface", "options", "parts", "points", "registry", "session", "shadowable", "values"}
    known |= {"autogl_codec", "build_arguments", "construction", "fallback", "missing_space", "run_arguments"}
    known |= {"allowance", "wanted"}
    assert {name.rsplit(".", 1)[-1] for name in loaded} <= known


def test_a_class_with_an_init_of_its_own_gets_its_options_by_name():
    """AutoGL's users write classes, not dataclasses; the options of the base stay."""

    @register_hpo("own_init")
    class OwnInit(BaseHPOptimizer):
        def __init__(self, space, f=None, width=1.0, **kwargs):
            super().__init__(space, f, **kwargs)
            self.width = width

        def _get_suggestion(self, pid):
            return {"x": self.width}

    hpo = build_hpo_from_name("own_init", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], width=0.25, max_evals=2)
    assert hpo.optimize(progress=False) == ({"x": 0.25}, 0.25)
    with pytest.raises(OptionError, match="did you mean 'width'"):
        build_hpo_from_name("own_init", [RangeHP("x", 0.0, 1.0)], widht=2)


def test_numpy_scalars_are_options_as_good_as_any():
    """They come out of people's configuration code, and are kept as plain numbers."""
    hpo = build_hpo_from_name("grid", SPACE, seed=np.int64(3), steps=np.int32(4))
    assert [(type(value), value) for value in (hpo.seed, hpo.steps)] == [(int, 3), (int, 4)]
