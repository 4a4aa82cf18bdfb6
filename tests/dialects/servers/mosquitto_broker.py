"""Run Eclipse Mosquitto as an MQTT broker on WebSockets: `python -m tests.dialects.servers.mosquitto_broker`."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.dialects.servers.broker_process import child, program, serve
from tests.ports import free_port, free_ports

USER = "guest"

# Version 2.0.11 starts no listener for WebSockets unless there is a plain one, too.
# All connections come from one address, so that names of clients must suffice to tell them apart in the log.
CONFIGURATION = """
user root
listener {plain} 127.0.0.1
listener {port} 127.0.0.1
protocol websockets
allow_anonymous {anonymous}
{access}
persistence false
log_dest stderr
log_timestamp false
log_type all
"""
PUBLISH = re.compile(r"(Received|Sending) PUBLISH ")
END = re.compile(r"Client (\S+) (disconnected|closed its connection|has exceeded timeout|already connected)")


class Counts:
    """The counts of a broker, from its log."""

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.rooms: dict[str, set[str]] = {}
        self._last = ""

    def take(self, line: str) -> bool:
        """Count a line of the log; return whether it need not be printed."""
        if published := PUBLISH.match(line):
            if published[1] == "Received":
                self.received += 1
            else:
                self.sent += 1
            return True
        if line.startswith("New client connected") and (found := re.search(r" as (\S+) \(", line)):
            self.rooms[found[1]] = set()
        elif ended := END.match(line):
            self.rooms.pop(ended[1], None)
        elif (found := re.fullmatch(r"(\S+) [012] (.+)\n", line)) and found[1] in self.rooms:
            self.rooms[found[1]].add(found[2])
        elif (found := re.match(r"Received UNSUBSCRIBE from (\S+)", line)) or line.startswith("\t"):
            if found:
                self._last = found[1]
            elif not re.search(r" \(QoS [012]\)$", line):
                self.rooms.get(self._last, set()).discard(line.strip())
        return False

    def __call__(self) -> dict[str, int]:
        members = sum(map(len, list(self.rooms.values())))
        return {"clients": len(self.rooms), "members": members, "messages": self.received, "deliveries": self.sent}


def password_file(folder: Path, password: str) -> str:
    """Return the setting that accepts only the user with this password."""
    path = folder / "passwords"
    command = [program("mosquitto_passwd"), "-b", "-c", str(path), USER, password]
    subprocess.run(command, check=True, timeout=60)
    return f"password_file {path}"


def refusal(folder: Path, topic: str) -> str:
    """Return the settings by which nobody may subscribe to a topic.

    The setting `acl_file` does not suffice: with it the broker accepts the subscription and delivers nothing.
    """
    path = folder / "dynamic-security.json"
    allowed = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    acl = {"acltype": "subscribeLiteral", "topic": topic, "priority": 1, "allow": False}
    path.write_text(
        json.dumps(
            {
                "defaultACLAccess": dict.fromkeys(allowed, True),
                "roles": [{"rolename": "everyone", "acls": [acl]}],
                "groups": [{"groupname": "everyone", "roles": [{"rolename": "everyone"}]}],
                "anonymousGroup": "everyone",
                "clients": [],
            }
        )
    )
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    return f"plugin {plugin}\nplugin_opt_config_file {path}"


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", help=f"the only accepted password, of the user {USER}")
    parser.add_argument("--refuse-room", help="a topic that nobody may subscribe to")
    options = parser.parse_args()
    port = options.port or free_port()
    with TemporaryDirectory() as name:
        folder = Path(name)
        access = [
            password_file(folder, options.token) if options.token else "",
            refusal(folder, options.refuse_room) if options.refuse_room else "",
        ]
        configuration = CONFIGURATION.format(
            plain=free_ports(1, port)[0],
            port=port,
            anonymous="false" if options.token else "true",
            access="\n".join(access),
        )
        (folder / "mosquitto.conf").write_text(configuration)
        counts = Counts()
        with child([program("mosquitto"), "-c", str(folder / "mosquitto.conf")]) as broker:
            serve(broker, port, ready=" running", counts=counts, skip=counts.take)


if __name__ == "__main__":
    main()
