"""The demo's words: one best, and how far it is."""

from __future__ import annotations

import re

from autohpo import build_hpo_from_name
from autohpo.demo.__main__ import FINAL_SEEDS, Row, Trainings, _show
from autohpo.demo.cora import DEFAULTS, cora_space, load_cora


def test_the_final_trainings_say_how_far_they_are(capsys) -> None:
    """A line for each row where the output is no terminal; nothing where it should be quiet."""
    rows = [
        Trainings(load_cora(), 1, is_quiet=is_quiet).row("untuned", DEFAULTS, epochs=1) for is_quiet in (False, True)
    ]
    assert capsys.readouterr().err == "autohpo: final training 5 of 5\n"
    assert rows[0].cells() == rows[1].cells()
    assert rows[0].validation.shape == rows[0].test.shape == (len(FINAL_SEEDS),)


def test_the_terminal_names_the_best_of_the_result_and_the_epochs_of_each_row(capsys) -> None:
    """The one that was confirmed, with its mean; each row has the epochs that it was trained for."""
    hpo = build_hpo_from_name("random", cora_space(), lambda hps, seed: hps["alpha"] + 1e-3 * (seed % 7), max_evals=6)
    hpo.optimize(confirm=2, progress=False)
    accuracies = load_cora().features.data[:2]
    rows = [Row(name, {}, epochs, accuracies, accuracies) for name, epochs in (("untuned", 200), ("BOHB", 81))]
    _show(hpo.result, rows)
    shown = capsys.readouterr().out
    winner = hpo.result.confirmed[0]
    assert re.findall(r"trial \d+", shown) == [f"trial {winner.trial.number}"]
    assert f"validation accuracy {winner.mean:.3f} (" in shown
    assert re.findall(r"^  (?:untuned|BOHB) +(\d+) ", shown, re.MULTILINE) == ["200", "81"]
