"""Run RabbitMQ as a STOMP broker on WebSockets: `python -m tests.dialects.servers.rabbitmq_broker`."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.http_client import urlopen
from tests.dialects.servers.broker_process import child, program, serve
from tests.ports import free_ports

USER = "guest"
SCRIPT = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in the PATH changes the user and the folders
CONFIGURATION = """
listeners.tcp = none
stomp.listeners.tcp = none
web_stomp.tcp.ip = 127.0.0.1
web_stomp.tcp.port = {port}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {metrics}
load_definitions = {definitions}
log.console.level = warning
"""

# Idle threads of Erlang would use CPU that other tests need, and a default of the client library causes a warning.
ERLANG = (
    "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none "
    "-amqp_client gen_server_call_timeout 130000"
)

# RabbitMQ reports these without a mistake of a client: a plugin as it stops, and now and then the end of a connection,
# however that ends.
UNRELATED = re.compile(r"(.*?) (?:supervisor: {<[\d.]+>,amqp_channel_sup_sup}|.*\brabbitmq_prometheus_tls\b)")
SERIES = {
    "clients": "rabbitmq_connections",
    "members": "rabbitmq_consumers",
    "messages": "rabbitmq_global_messages_received_total",
    "deliveries": "rabbitmq_global_messages_delivered_total",
}


def definitions(password: str, refused_room: str | None) -> dict[str, Any]:
    """Return the broker's only user and its permissions."""
    salt = b"salt"
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    topics = f"^(?!{re.escape(refused_room)}$)" if refused_room else ".*"
    hashing = "rabbit_password_hashing_sha256"
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "vhosts": [{"name": "/"}],
        "users": [{"name": USER, "password_hash": digest, "hashing_algorithm": hashing, "tags": "administrator"}],
        "permissions": [{"user": USER, "vhost": "/", **everything}],
        "topic_permissions": [
            {"user": USER, "vhost": "/", "exchange": "amq.topic", "write": topics, "read": topics},
        ],
    }


def environment(folder: Path, node_port: int, names_port: int) -> dict[str, str]:
    """Return the environment of a node that shares nothing with a system's own."""
    return os.environ | {
        "HOME": str(folder),  # of the cookie
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names_port),
        "ERL_CRASH_DUMP": str(folder / "crash.dump"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_DIST_PORT": str(node_port),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_NODENAME": "stampede@localhost",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
    }


class Unrelated:
    """Tells which lines of the log belong to reports that no client has caused."""

    def __init__(self) -> None:
        self._report = "no report"  # the time and the process at the start of each line of the last such report

    def __call__(self, line: str) -> bool:
        if found := UNRELATED.match(line):
            self._report = found[1].rstrip()
        return line.startswith(self._report)


def counts(metrics_port: int) -> dict[str, int]:
    """Return the counts from the broker's metrics."""
    with urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=60) as answer:
        page = answer.read().decode()
    samples = re.findall(r"^(\w+)(?:{.*})? (\S+)$", page, re.MULTILINE)
    return {key: sum(int(float(value)) for name, value in samples if name == series) for key, series in SERIES.items()}


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=USER, help=f"the passcode of the user {USER}")
    parser.add_argument("--refuse-room", help="a room that nobody may subscribe to")
    options = parser.parse_args()
    free, metrics, node_port, names_port = free_ports(4, options.port)
    port = options.port or free
    with TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "log").mkdir()
        (folder / "plugins").write_text("[rabbitmq_web_stomp,rabbitmq_prometheus].\n")
        (folder / "definitions.json").write_text(json.dumps(definitions(options.token, options.refuse_room)))
        configuration = CONFIGURATION.format(port=port, metrics=metrics, definitions=folder / "definitions.json")
        (folder / "rabbitmq.conf").write_text(configuration)
        # The node would start a daemon for names that outlives it.
        names = child([program("epmd"), "-address", "127.0.0.1", "-port", str(names_port)])
        node = child([SCRIPT], environment(folder, node_port, names_port))
        with names, node as broker:
            serve(
                broker,
                port,
                ready=" completed with ",
                counts=lambda: counts(metrics),
                skip=Unrelated(),
            )


if __name__ == "__main__":
    main()
