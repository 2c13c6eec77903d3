"""deploy/kubernetes: every resource fits the API's schemas, and the parts fit together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "kubernetes"
BASES = ("serving", "bulk")


def resources(base: str) -> dict[str, dict]:
    """Kind -> resource of a Kustomize base."""
    folder = FOLDER / base
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    files = [folder / file for file in listed["resources"]]
    generated = [file for one in listed.get("configMapGenerator", ()) for file in one["files"]]
    assert {*listed["resources"], *generated, "kustomization.yaml"} == {
        file.name for file in folder.iterdir()
    }
    found = [one for file in files for one in yaml.safe_load_all(file.read_text())]
    return {one["kind"]: one for one in found}


@pytest.mark.parametrize("base", BASES)
def test_resources_fit_the_schemas_of_the_api(base):
    schemas = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    for kind, resource in resources(base).items():
        if kind != "RayJob":
            schemas.validate(resource, schemas.latest_version(), strict=True)
            continue
        # KubeRay's schema is its own; the pods in it are Kubernetes' kind.
        cluster = resource["spec"]["rayClusterSpec"]
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        assert len(groups) >= 2
        for group in groups:
            pod = {"apiVersion": "v1", "kind": "Pod", **group["template"]}
            schemas.validate(pod, schemas.latest_version(), strict=True)


def test_the_parts_of_serving_fit_together():
    found = resources("serving")
    pods = found["Deployment"]["spec"]["template"]
    labels = pods["metadata"]["labels"]
    selectors = (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    )
    assert all(selector.items() <= labels.items() for selector in selectors)
    (container,) = pods["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} == ports
    assert container["startupProbe"] and container["readinessProbe"] and container["livenessProbe"]
    target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target["name"] == found["Deployment"]["metadata"]["name"]
    # The autoscaler needs a request to compare with; two pods, so that the budget admits a drain.
    assert container["resources"]["requests"]["cpu"]
    budget = found["PodDisruptionBudget"]["spec"]["minAvailable"]
    assert found["HorizontalPodAutoscaler"]["spec"]["minReplicas"] > budget


def test_the_job_calls_bulk_with_flags_that_exist():
    from anime_tf.cli import app

    job = resources("bulk")["RayJob"]["spec"]
    words = job["entrypoint"].split()
    flags = {flag for group in app.load("bulk").groups for flag in group.settings}
    assert words[:2] == ["anime-tf", "bulk"]
    assert set(re.findall(r"--(\w+)", job["entrypoint"])) <= flags
    requirements = (FOLDER.parents[1] / "requirements-dev.txt").read_text()
    assert f"ray=={job['rayClusterSpec']['rayVersion']}\n" in requirements
