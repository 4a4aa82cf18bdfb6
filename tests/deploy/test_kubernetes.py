"""The Kubernetes manifests: built by kustomize, checked against Kubernetes' schemas and the server's settings."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from benchmarks.population import CORE, Population, node_load
from benchmarks.population_tables import HEADROOM, read_terms
from capacity.config.settings import read_settings
from capacity.processes.remote_workers import RemoteWorkers
from metrics.catalog import CATALOG
from server.app import CLEANUP_SECONDS, CLOSE_SECONDS
from server.settings import Settings, parse
from tests.deploy.dockerfile import stage
from tests.server.cluster.fixtures import BINARY
from tests.tables import ROOT, rows

FOLDER = ROOT / "deploy" / "kubernetes"
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
OVERLAYS = ("base", "production")
FOLDERS = (*OVERLAYS, "capacity")
OF_OPERATORS = {"PodMonitor"}  # Kubernetes itself has no schema for these
RULES = ROOT / "metrics" / "prometheus" / "rules"


def build(overlay: str) -> list[dict[str, Any]]:
    done = subprocess.run([KUBECTL, "kustomize", FOLDER / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


BUILT = {folder: build(folder) for folder in FOLDERS}
ALL = [pytest.param(one, id=f"{overlay}-{one['kind']}-{one['metadata']['name']}") for overlay, every in BUILT.items() for one in every]  # fmt: skip # noqa: E501 - one comprehension


def the(overlay: str, kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in BUILT[overlay] if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod(overlay: str, kind: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = the(overlay, kind, name)["spec"]["template"]["spec"]
    return spec


OURS = [
    *((overlay, "Deployment", "stampede") for overlay in OVERLAYS),
    ("capacity", "Job", "stampede-capacity"),
    ("capacity", "Deployment", "stampede-capacity-worker"),
]
"""Pods with images of ours."""


@pytest.fixture(params=OVERLAYS)
def chat(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The chat server's pod."""
    return pod(request.param, "Deployment", "stampede")


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


def settings_of(pod: dict[str, Any]) -> Settings:
    one = container(pod)
    assert one["command"] == ["python", "-m", "server"]
    assert "env" not in one
    return parse(one["args"], {})


@pytest.mark.parametrize("resource", ALL)
def test_every_resource_is_valid(resource: dict[str, Any]) -> None:
    if resource["kind"] not in OF_OPERATORS:
        kubernetes_validate.validate(resource, "1.37", strict=True)


def test_validation_rejects_an_unknown_field() -> None:
    service = the("base", "Service", "stampede")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**service, "spec": {**service["spec"], "sesionAffinity": "None"}}, "1.37", strict=True)  # fmt: skip # noqa: E501 - as above


def test_all_files_are_used() -> None:
    used = {FOLDER / "production" / "prometheus-adapter.yaml"}  # values for the adapter's own chart
    for overlay in FOLDERS:
        path = FOLDER / overlay / "kustomization.yaml"
        kustomization = yaml.safe_load(path.read_text())
        names = [
            *kustomization["resources"],
            *(file for one in kustomization.get("configMapGenerator", ()) for file in one["files"]),
        ]
        used |= {path, *((path.parent / name).resolve() for name in names)}
    assert {path for path in FOLDER.rglob("*") if path.is_file()} == {path for path in used if path.is_file()}


def test_the_server_accepts_its_options_and_listens_on_the_declared_ports(chat: dict[str, Any]) -> None:
    settings = settings_of(chat)
    ports = {port["name"]: port["containerPort"] for port in container(chat)["ports"]}
    assert ports == {"chat": settings.port, "metrics": settings.metrics_port}
    assert settings.host == "0.0.0.0"  # noqa: S104 - within the pod
    assert settings.nats == "nats://stampede-nats:4222"
    assert str(settings.upload_dir) in container(chat)["volumeMounts"][0]["mountPath"]
    probes = {name: container(chat)[f"{name}Probe"]["httpGet"] for name in ("readiness", "liveness")}
    assert probes == {
        "readiness": {"path": "/health", "port": "chat"},
        "liveness": {"path": "/api/status", "port": "chat"},
    }


def test_service_links_that_would_be_read_as_settings_are_disabled(chat: dict[str, Any]) -> None:
    """By default Kubernetes sets STAMPEDE_PORT=tcp://... in every container beside a Service called stampede."""
    with pytest.raises(SystemExit):
        parse([], {"STAMPEDE_PORT": "tcp://10.0.0.1:80"})
    assert chat["enableServiceLinks"] is False


def test_the_grace_period_covers_the_whole_drain(chat: dict[str, Any]) -> None:
    (command, seconds) = container(chat)["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    probe = container(chat)["readinessProbe"]
    assert int(seconds) > probe["periodSeconds"] * probe["failureThreshold"]
    needed = int(seconds) + settings_of(chat).drain_seconds + CLOSE_SECONDS + CLEANUP_SECONDS
    assert chat["terminationGracePeriodSeconds"] > needed


def test_the_upload_budget_fits_its_volume(chat: dict[str, Any]) -> None:
    (volume,) = chat["volumes"]
    assert int(volume["emptyDir"]["sizeLimit"].removesuffix("Mi")) * 1024**2 > settings_of(chat).upload_budget


@pytest.mark.parametrize(("overlay", "kind", "name"), OURS)
def test_the_user_is_that_of_the_image(overlay: str, kind: str, name: str) -> None:
    spec = pod(overlay, kind, name)
    image = container(spec)["image"].rpartition("/")[2].partition(":")[0].removeprefix("stampede-")
    (user,) = (argument for name, argument in stage(image) if name == "USER")
    uid, gid = user.split(":")
    context = spec["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(uid), int(gid))


def test_no_proxy_is_trusted_by_default(chat: dict[str, Any]) -> None:
    assert settings_of(chat).trusted_proxy == ()


@pytest.mark.parametrize(
    ("overlay", "kind", "name"), [*OURS, *((one, "StatefulSet", "stampede-nats") for one in OVERLAYS)]
)
def test_no_container_runs_as_root_or_can_gain_privileges(overlay: str, kind: str, name: str) -> None:
    spec = pod(overlay, kind, name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(spec)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("overlay", FOLDERS)
def test_every_selector_selects_its_own_pods(overlay: str) -> None:
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]
        for one in BUILT[overlay]
        if one["kind"] in ("Deployment", "StatefulSet", "Job")
    }
    for one in BUILT[overlay]:
        spec = one.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector")
        if selector is None:
            continue
        wanted = selector.get("matchLabels", selector).items()
        selected = [name for name, pod in pods.items() if wanted <= pod["metadata"]["labels"].items()]
        assert selected == [one["metadata"]["name"].removesuffix("-routes")]
        named = {port["name"] for port in container(pods[selected[0]]["spec"]).get("ports", ())}
        for port in spec.get("ports", []):
            assert port["targetPort"] in named


def test_nats_accepts_chat_servers_and_other_nats_servers_only() -> None:
    for overlay in OVERLAYS:
        sources = [
            rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            for rule in the(overlay, "NetworkPolicy", "stampede-nats")["spec"]["ingress"]
        ]
        assert sources == ["chat", "nats"]


def test_the_nats_configuration_is_valid_and_uses_the_declared_ports(tmp_path: Path) -> None:
    copy = tmp_path / "nats.conf"
    copy.write_text((FOLDER / "base" / "nats.conf").read_text())
    subprocess.run([BINARY, "-t", "-c", copy], check=True, capture_output=True)
    configured = {int(port) for port in re.findall(r"port: (\d+)", copy.read_text())}
    ports = container(pod("base", "StatefulSet", "stampede-nats"))["ports"]
    assert configured == {port["containerPort"] for port in ports}


def test_a_nats_server_has_time_to_close_its_connections() -> None:
    spec = pod("production", "StatefulSet", "stampede-nats")
    assert container(spec)["lifecycle"]["preStop"]["exec"]["command"][:2] == ["nats-server", "--signal"]
    seconds = re.findall(r"lame_duck_\w+: (\d+)s", (FOLDER / "base" / "nats.conf").read_text())
    assert spec["terminationGracePeriodSeconds"] > sum(map(int, seconds)) == 35


def test_the_autoscaler_uses_an_existing_metric_and_leaves_headroom() -> None:
    spec = the("production", "HorizontalPodAutoscaler", "stampede")["spec"]
    (asked,) = (one["pods"] for one in spec["metrics"])
    assert asked["metric"]["name"] in CATALOG
    adapter = yaml.safe_load((FOLDER / "production" / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["name"]["as"] == asked["metric"]["name"]
    assert re.match(rule["name"]["matches"], rule["seriesQuery"].partition("{")[0])
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "stampede"}
    assert "replicas" not in the("production", "Deployment", "stampede")["spec"]
    limit = settings_of(pod("production", "Deployment", "stampede")).max_connections
    assert limit is not None
    target, pods = int(asked["target"]["averageValue"]), spec["maxReplicas"]
    assert 2 * target <= limit  # one of two may fail
    terms = read_terms(ROOT / "docs" / "scaling.json")
    used = node_load(Population(pods * target), pods).cpu(terms)
    assert sum(used.values()) <= (1 - HEADROOM) * CORE


def test_the_rules_use_the_job_name_of_the_pod_monitor() -> None:
    monitor = the("production", "PodMonitor", "stampede")["spec"]
    labels = the("production", "Deployment", "stampede")["spec"]["template"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "chat"
    assert 'job="chat"' in "".join(path.read_text() for path in RULES.iterdir())
    assert [one["port"] for one in monitor["podMetricsEndpoints"]] == ["metrics"]


def test_the_capacity_run_waits_for_the_workers_of_its_deployment() -> None:
    run = container(pod("capacity", "Job", "stampede-capacity"))
    assert run["command"] == ["python", "-m", "capacity"]
    settings = read_settings(run["args"], {})
    service = the("base", "Service", "stampede")
    assert (settings.host, service["spec"]["ports"][0]["port"]) == (f"ws://{service['metadata']['name']}", 80)
    assert settings.expect_workers == the("capacity", "Deployment", "stampede-capacity-worker")["spec"]["replicas"]
    assert {volume["mountPath"] for volume in run["volumeMounts"]} == {settings.report, "/tmp"}  # noqa: S108
    assert settings.runs == ""


def test_the_workers_connect_to_the_master_of_the_capacity_run() -> None:
    run = container(pod("capacity", "Job", "stampede-capacity"))
    master = the("capacity", "Service", "stampede-capacity")
    (port,) = master["spec"]["ports"]
    assert {port["name"]: port["port"]} == {one["name"]: one["containerPort"] for one in run["ports"]}
    assert port["port"] == read_settings(run["args"], {}).master_bind_port
    worker = container(pod("capacity", "Deployment", "stampede-capacity-worker"))
    remote = RemoteWorkers(2, None, port["port"], 60.0)
    command = remote.command(master["metadata"]["name"]).removeprefix(".venv/bin/").split()
    assert [*worker["command"], *(part for arg in worker["args"] for part in arg.split("="))] == command


def test_only_workers_reach_the_master_of_the_capacity_run() -> None:
    (rule,) = the("capacity", "NetworkPolicy", "stampede-capacity")["spec"]["ingress"]
    labels = the("capacity", "Deployment", "stampede-capacity-worker")["spec"]["template"]["metadata"]["labels"]
    (source,) = rule["from"]
    assert source["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_readme_agrees_with_the_manifests() -> None:
    pods = yaml.safe_dump(pod("production", "Deployment", "stampede"))
    cells = [cell.replace("`", "") for cell, _ in rows("deploy/README.md", "## Kubernetes")]
    assert [cell for cell in cells if re.fullmatch(r"\w+: \w+", cell) and cell not in pods] == []
    assert sum(": " in cell for cell in cells) == 2
