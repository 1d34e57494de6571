"""AutoGL's encoded form: the numbers that AutoGL itself gives for its GCN, and back."""

from __future__ import annotations

import copy
import math

import pytest

from autohpo import OptionError, RangeHP
from autohpo.algorithms.parts.autogl_codec import AutoGLCodec

GCN = {
    "trainer": [
        {"parameterName": "max_epoch", "type": "INTEGER", "minValue": 10, "maxValue": 500, "scalingType": "LINEAR"},
        {"parameterName": "lr", "type": "DOUBLE", "minValue": 1e-4, "maxValue": 1e-1, "scalingType": "LOG"},
        {"parameterName": "bs", "type": "FIXED", "value": 512},
    ],
    "encoder": [
        {"parameterName": "num_layers", "type": "DISCRETE", "feasiblePoints": "2,3,4"},
        {
            "parameterName": "hidden",
            "type": "NUMERICAL_LIST",
            "numericalType": "INTEGER",
            "length": 3,
            "minValue": [8, 8, 8],
            "maxValue": [128, 128, 128],
            "scalingType": "LOG",
            "cutPara": ("num_layers",),
            "cutFunc": lambda x: x[0] - 1,
        },
        {"parameterName": "dropout", "type": "DOUBLE", "minValue": 0.2, "maxValue": 0.8, "scalingType": "LINEAR"},
        {"parameterName": "act", "type": "CATEGORICAL", "feasiblePoints": ["leaky_relu", "relu", "elu", "tanh"]},
    ],
    "decoder": [],
}


def test_the_encoded_form_is_autogls():
    """Names, bounds and indices as AutoGL 0.4 encodes the same space."""
    items = {item["parameterName"]: item for item in AutoGLCodec(GCN).items}
    assert list(items) == [
        *("trainer:max_epoch_", "trainer:lr_", "encoder:num_layers_"),
        *("encoder:hidden_0", "encoder:hidden_1", "encoder:hidden_2", "encoder:dropout_", "encoder:act_"),
    ]
    ends = items["trainer:lr_"]["minValue"], items["trainer:lr_"]["maxValue"]
    assert ends == pytest.approx((-9.21, -2.30), abs=0.01)
    ends = items["encoder:hidden_1"]["minValue"], items["encoder:hidden_1"]["maxValue"]
    assert ends == pytest.approx((2.079, 4.852), abs=0.001)
    assert items["encoder:num_layers_"]["feasiblePoints"] == "0,1,2"
    assert {item["type"] for item in items.values()} == {"DOUBLE", "DISCRETE"}


def test_the_middle_of_the_encoded_form_decodes_as_autogl_does():
    """Mid-points and the first index, nested as given; the caller's dicts stay as they were."""
    form = copy.deepcopy(GCN)
    codec = AutoGLCodec(form)
    middle = {
        item["parameterName"]: "0" if item["type"] == "DISCRETE" else (item["minValue"] + item["maxValue"]) / 2
        for item in codec.items
    }
    hp, trial = codec.decode(middle)
    assert hp == {
        "trainer": {"max_epoch": 255, "lr": pytest.approx(0.00316, abs=1e-5), "bs": 512},
        "encoder": {"num_layers": 2, "hidden": [32], "dropout": 0.5, "act": "leaky_relu"},
        "decoder": {},
    }
    assert trial["encoder:hidden_0"] == pytest.approx(math.log(32))
    assert trial.keys() == middle.keys()
    assert str(form) == str(copy.deepcopy(form))


def test_a_plain_list_stays_flat_and_values_stay_in_their_bounds():
    """Without modules there is nothing to nest; an index may be an int or a float."""
    codec = AutoGLCodec([*GCN["trainer"], GCN["encoder"][3]])
    hp, _ = codec.decode({"max_epoch_": 10.4, "lr_": 5.0, "act_": 2.0})
    assert hp == {"max_epoch": 10, "lr": 0.1, "bs": 512, "act": "elu"}


def test_what_is_missing_or_no_form_is_an_error():
    """It names the encoded names that are missing."""
    with pytest.raises(OptionError, match=r"para: must have \['lr_'\], got \[\]"):
        AutoGLCodec([GCN["trainer"][1]]).decode({})
    with pytest.raises(OptionError, match="space: must be AutoGL's form"):
        AutoGLCodec([RangeHP("x", 0.0, 1.0)])
