"""compose.yaml, as far as it can be checked without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from server.settings import parse
from tests.metrics.fixtures import skip_or_fail
from tests.metrics.rules import PROMETHEUS
from tests.tables import ROOT

if TYPE_CHECKING:
    from tests.processes import RunningServer

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_docker_compose_accepts_the_file() -> None:
    compose = shutil.which("docker-compose")
    if compose is None:
        skip_or_fail("docker-compose not found: install it (Debian: docker-compose)")
    done = subprocess.run(
        [compose, "-f", "compose.yaml", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_all_services_of_a_load_test_exist() -> None:
    load = {"locust-master", "locust-worker"}
    assert set(SERVICES) == {"balancer", "nats", "server", "prometheus", "grafana", *load}
    assert [SERVICES[name]["deploy"]["replicas"] for name in ("server", "locust-worker")] == [2, 2]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_checked_and_ordered(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+(-alpine)?", service["image"])
    assert service["healthcheck"]["test"][0] == "CMD"
    for needed, how in service.get("depends_on", {}).items():
        assert needed in SERVICES
        assert how == {"condition": "service_healthy"}


def test_no_default_password_is_exposed_and_only_the_chat_port_is_public() -> None:
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert grafana["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert grafana["GF_AUTH_BASIC_ENABLED"] == "false"
    assert "password" not in json.dumps(COMPOSE).lower()
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", ())}
    assert published.pop("balancer") == "8080:8080"
    assert all(port.startswith("127.0.0.1:") for port in published.values())


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_exist_in_the_checkout(name: str) -> None:
    for source in (volume.partition(":")[0] for volume in SERVICES[name].get("volumes", ())):
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], source


def test_prometheus_scrapes_containers_on_their_ports() -> None:
    found = {}
    for job in yaml.safe_load((PROMETHEUS / "compose.yml").read_text())["scrape_configs"]:
        (discovery,) = job["dns_sd_configs"]
        found[job["job_name"]] = (discovery["names"], discovery["type"], discovery["port"])
    assert found == {"chat": (["server"], "A", 9100), "loadtest": (["locust-master"], "A", 9646)}
    assert "--metrics-port 9100" in SERVICES["server"]["command"]
    assert "--prometheus-port 9646" in SERVICES["locust-master"]["command"]


def test_prometheus_differs_from_the_load_test_configuration_only_in_targets() -> None:
    ours, theirs = (yaml.safe_load((PROMETHEUS / name).read_text()) for name in ("compose.yml", "loadtest.yml"))
    for job in (*ours["scrape_configs"], *theirs["scrape_configs"]):
        job.pop("dns_sd_configs", job.pop("file_sd_configs", None))
    assert ours == theirs


def test_the_servers_share_a_bus_and_trust_the_balancer() -> None:
    settings = parse(SERVICES["server"]["command"].removeprefix("python -m server ").split(), {})
    assert all(network.is_private for network in settings.trusted_proxy)
    for balancer in ("172.17.0.5", "172.31.255.9", "192.168.240.3", "10.1.2.3"):  # what engines choose
        assert any(ip_address(balancer) in network for network in settings.trusted_proxy)
    assert "ports" not in SERVICES["server"], "clients come through the balancer alone"
    assert settings.nats == "nats://nats:4222"
    assert SERVICES["balancer"]["environment"]["BALANCER_SERVERS"] == f"server:{settings.port}"
    assert "ws://balancer:8080" in SERVICES["locust-master"]["command"]


def test_two_checkouts_share_no_network_or_name() -> None:
    assert "networks" not in COMPOSE, "a fixed subnet can be had once"
    assert "name" not in COMPOSE
    assert not [name for name, service in SERVICES.items() if {"container_name", "networks"} & set(service)]


@pytest.mark.parametrize("name", ["server", "locust-master"])
def test_a_health_check_uses_no_proxy(name: str, server: RunningServer) -> None:
    command, *arguments = SERVICES[name]["healthcheck"]["test"][1:]
    assert command == "python"
    port = server.url.rsplit(":", 1)[1]
    here = [re.sub(r"\b80[0-9]{2}\b", port, argument) for argument in arguments]
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:1")
    clean = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}

    def check(arguments: list[str]) -> int:
        return subprocess.run(
            [sys.executable, *arguments], env=clean | proxies, capture_output=True, check=False
        ).returncode

    assert check(here) == 0
    assert check([argument.replace("/health", "/").replace("'/'", "'/nothing'") for argument in here]) == 1
    server.stop()
    assert check(here) == 1


def test_health_checks_with_wget_use_no_proxy() -> None:
    checks = [service["healthcheck"]["test"] for service in SERVICES.values()]
    by_wget = [check for check in checks if "wget" in check]
    assert len(by_wget) == 4
    assert all(check[1:4] == ["wget", "-Y", "off"] for check in by_wget)  # as BusyBox calls it


def test_prometheus_uses_the_mounted_configuration() -> None:
    mounts = dict(volume.split(":")[1::-1] for volume in SERVICES["prometheus"]["volumes"])
    flags = dict(flag.split("=") for flag in SERVICES["prometheus"]["command"])
    inside = flags["--config.file"].removeprefix("/etc/stampede/")
    assert (ROOT / mounts["/etc/stampede"] / inside).exists()
    assert flags["--web.user-assets"] == "/etc/stampede"
