"""Real servers, a real load generator and a real Prometheus with the load-test configuration cause alerts.

Each server gets one fault. The test reads the states of each alert (pending, firing, resolved) from Prometheus' series
ALERTS. So the result does not depend on the speed of the test.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.metrics.fixtures import MISSING, Prometheus, configured, skip_or_fail, wait_until
from tests.metrics.rules import PROMETHEUS, profile
from tests.metrics.test_generator import generator
from tests.ports import free_ports
from tests.promises.raw_clients import RawClientPool, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.metrics.test_generator import Generator
    from tests.processes import RunningServer

NO_HEARTBEAT = ("--heartbeat-interval", "0", "--heartbeat-timeout", "0")
FLOOD = message("chatMessage", text="x" * 10_000)


def address(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


def series(alert: str, instance: str, state: str) -> str:
    """Return a selector for Prometheus' record of an alert."""
    return f'ALERTS{{alertname="{alert}", instance="{instance}", alertstate="{state}"}}'


@dataclass
class Watch:
    """A Prometheus with our configuration, and the expected alerts by name and instance."""

    prometheus: Prometheus
    expected: list[tuple[str, str]] = field(default_factory=list)

    def expect(self, alert: str, url: str) -> None:
        """Wait until an alert has fired for a target; it may have ended since."""
        self.expected.append((alert, address(url)))
        fired = f"count_over_time({series(alert, address(url), 'firing')}[10m])"
        wait_until(lambda: bool(self.prometheus.query(fired)), f"{alert} to fire")

    def is_firing(self, alert: str, instance: str) -> bool:
        return bool(self.prometheus.query(series(alert, instance, "firing")))

    def history(self, alert: str, instance: str) -> list[str]:
        """Return the states of an alert in the order of their first appearance, `resolved` when it is over."""
        began = {
            state: self.prometheus.query(f"min_over_time(timestamp({series(alert, instance, state)})[10m:1s])").values()
            for state in ("pending", "firing")
        }
        states = sorted((min(times), state) for state, times in began.items() if times)
        over = not self.is_firing(alert, instance)
        return [state for _, state in states] + ["resolved"] * over

    def unhealthy_rules(self) -> list[str]:
        """Return the rules that could not be evaluated, and the recording rules without a result."""
        with urllib.request.urlopen(f"{self.prometheus.url}/api/v1/rules", timeout=60) as answer:  # noqa: S310 - loopback
            rules = [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]
        assert {rule["name"] for rule in rules} == {rule.name for rule in profile("loadtest")}
        return [
            rule["name"]
            for rule in rules
            if rule["health"] != "ok" or (rule["type"] == "recording" and not self.prometheus.query(rule["name"]))
        ]

    def runbooks(self) -> dict[str, str]:
        """Return the text behind the links of the alerts that are active now."""
        with urllib.request.urlopen(f"{self.prometheus.url}/api/v1/alerts", timeout=60) as answer:  # noqa: S310 - loopback
            found = json.load(answer)["data"]["alerts"]
        texts = {}
        for alert in found:
            with urllib.request.urlopen(alert["annotations"]["runbook_url"], timeout=60) as answer:  # noqa: S310
                texts[alert["labels"]["alertname"]] = answer.read().decode()
        return texts


@contextmanager
def watching(folder: Path, chat: list[str], loadtest: str) -> Iterator[Watch]:
    """Run Prometheus with the committed files and the targets of this test."""
    copy = folder / "prometheus"
    shutil.copytree(PROMETHEUS, copy)
    half = len(chat) // 2
    for file, targets in (("chat", chat[:half]), ("chat-of-another-host", chat[half:]), ("loadtest", [loadtest])):
        target_file = copy / "targets" / f"{file}.yml"
        target_file.write_text(json.dumps([{"targets": [address(url) for url in targets]}]))
    (port,) = free_ports(1)
    flags = (f"--web.external-url=http://127.0.0.1:{port}", f"--web.user-assets={PROMETHEUS.parent}")
    with configured(copy / "loadtest.yml", folder / "data", *flags, port=port) as url:
        prometheus = Prometheus(url, (*chat, loadtest))
        prometheus.wait_for_scrape()
        yield Watch(prometheus)


def fall_behind(pool: RawClientPool, server: RunningServer) -> None:
    """Let three members of a room stop reading, and send until the server counts them as slow consumers."""
    members = pool.open(4, receive_buffer=4096)
    pool.join_rooms(members, ["room"])
    talker, *silent = members
    for member in silent:
        pool.pause_reading(member)
    seen = [0.0]

    def behind() -> bool:
        for _ in range(20):
            pool.send(talker, FLOOD)
        pool.run(0.05)
        seen[0] = server.samples()["chat_slow_consumers"]
        return seen[0] >= len(silent)

    pool.wait_until(behind, "the server to notice the slow consumers")


def stutter(locust: Generator) -> None:
    """Stop the generator's process briefly, as on an overloaded machine."""
    assert locust.process is not None
    for _ in range(4):
        locust.process.send_signal(signal.SIGSTOP)
        time.sleep(0.6)  # this pause is the fault, not a wait for an event
        locust.process.send_signal(signal.SIGCONT)
        time.sleep(0.4)


def cut_down(server: RunningServer) -> socket.socket:
    """Kill a server and occupy its port with a socket that does not answer."""
    server.kill()
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host, _, port = address(server.url).rpartition(":")
    place.bind((host, int(port)))
    return place


@pytest.mark.timeout(600)
def test_alerts_are_pending_then_fire_then_are_resolved(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    if shutil.which("prometheus") is None:
        skip_or_fail(MISSING)
    gone = start()
    full = start("--max-connections", "20", *NO_HEARTBEAT)
    silent = start("--heartbeat-interval", "0.2", "--heartbeat-timeout", "2")
    slow = start("--message-rate", "0", "--slow-timeout", "0", "--buffer-hard-limit", "0", *NO_HEARTBEAT)
    servers = [server.url for server in (gone, full, silent, slow)]
    with ExitStack() as running:
        locust = running.enter_context(generator(start().url))
        watch = running.enter_context(watching(tmp_path, servers, locust.metrics))
        locust.tell("/swarm", user_count=4, spawn_rate=4)
        with RawClientPool(full.url) as crowd, RawClientPool(silent.url) as corpses, RawClientPool(slow.url) as room:
            crowd.open(19)
            for corpse in corpses.open(12):
                corpses.pause_reading(corpse)
            fall_behind(room, slow)
            place = running.enter_context(cut_down(gone))
            stutter(locust)
            watch.expect("ChatServerDown", gone.url)
            watch.expect("ChatConnectionsNearLimit", full.url)
            watch.expect("ChatHeartbeatKills", silent.url)
            watch.expect("ChatSlowConsumers", slow.url)
            watch.expect("ChatGeneratorLag", locust.metrics)
            assert watch.unhealthy_rules() == []
            assert silent.samples()["chat_heartbeat_kills_total"] == 12
            for alert, text in watch.runbooks().items():
                assert f"\n## {alert}\n" in text
        place.close()
        start("--port", address(gone.url).rpartition(":")[2])
        locust.tell("/stop")
        wait_until(
            lambda: not any(watch.is_firing(alert, instance) for alert, instance in watch.expected),
            "every alert to be resolved",
        )
        for alert, instance in watch.expected:
            assert watch.history(alert, instance) == ["pending", "firing", "resolved"], alert
