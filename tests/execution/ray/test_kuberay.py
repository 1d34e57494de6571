"""The template for Kubernetes is one that Ray's own autoscaler reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

TEMPLATE = yaml.safe_load((Path(__file__).parents[3] / "examples" / "kuberay.yaml").read_text())


def test_the_template_is_a_job_with_tokens_that_is_run_again_when_its_head_is_lost():
    """What the page on Ray promises of it."""
    spec = TEMPLATE["spec"]
    assert (TEMPLATE["apiVersion"], TEMPLATE["kind"]) == ("ray.io/v1", "RayJob")
    assert spec["backoffLimit"] > 0
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert "--store" in spec["entrypoint"]
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.extras
def test_the_autoscaler_of_ray_reads_the_template(ray_environment):
    """It finds no room for trials on the head, and machines with a GPU for up to 16 others."""
    pytest.importorskip("jsonschema")
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    cluster = {"metadata": {"name": "one", "namespace": "here"}, "spec": TEMPLATE["spec"]["rayClusterSpec"]}
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    head, workers = types["headgroup"], types["gpu"]
    assert head["resources"]["CPU"] == 0
    assert (workers["min_workers"], workers["max_workers"]) == (0, 16)
    assert {"CPU": 4, "GPU": 1, "memory": 16 * 2**30}.items() <= workers["resources"].items()
