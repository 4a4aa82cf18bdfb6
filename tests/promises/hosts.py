"""Network namespaces as hosts, connected to switches by cables that a test can cut.

A program that uses hosts runs itself in new network and process namespaces (`inside`). All its processes and hosts end
with it, even if it is killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Self

_UNSHARE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def problem() -> str:
    """Return the reason why this machine cannot run hosts, in one line, or an empty string."""
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            return f"{tool} not found: install {package}"
    command = inside("ip", "link", "add", "type", "veth")
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"cannot create network namespaces: {tried.stderr.strip().splitlines()[-1]}"
    return ""


def inside(*command: str) -> list[str]:
    """Return the command that runs another one in namespaces where it can create hosts."""
    return [*_UNSHARE, *([] if os.geteuid() == 0 else ["--map-root-user"]), *command]


class Switch:
    """A switch; this process is connected to it with the first address.

    Args:
        number: of this switch; its addresses are 10.0.NUMBER.0/24.
    """

    def __init__(self, number: int) -> None:
        self.name = f"switch{number}"
        self.number = number
        self.hosts = 0
        _ip("link", "set", "lo", "up")
        _ip("link", "add", self.name, "type", "bridge")
        _ip("addr", "add", f"{self.address(1)}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")

    def address(self, host: int) -> str:
        """Return the address of a host, by its number."""
        return f"10.0.{self.number}.{host}"


class Host:
    """A network namespace with a cable to each switch, in the order of its `addresses`.

    Args:
        switches: to connect to.
        name: name of the host for its processes; by default they see that of this machine.
    """

    def __init__(self, *switches: Switch, name: str = "") -> None:
        self._switches = switches
        self._cables: list[str] = []
        self.addresses: list[str] = []
        # A namespace is entered through a process that runs in it; the process prints a line once it runs.
        named = f"hostname {name}; " if name else ""
        command = ["unshare", "--net", "--uts", "sh", "-c", f"{named}echo; exec sleep infinity"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()
        subprocess.run(self.command("ip", "link", "set", "lo", "up"), check=True)
        for switch in switches:
            self._connect(switch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.communicate()

    def command(self, *command: str) -> list[str]:
        """Return the command that runs another one on this host."""
        return ["nsenter", "--target", str(self._process.pid), "--net", "--uts", "--", *command]

    def cut(self, switch: Switch) -> None:
        """Disconnect a cable from its switch; both ends remain up."""
        _ip("link", "set", self._cable(switch), "nomaster")

    def reconnect(self, switch: Switch) -> None:
        """Connect a cable to its switch again."""
        _ip("link", "set", self._cable(switch), "master", switch.name)

    def _cable(self, switch: Switch) -> str:
        return self._cables[self._switches.index(switch)]

    def _connect(self, switch: Switch) -> None:
        switch.hosts += 1
        cable, end = f"cable{switch.number}-{switch.hosts}", f"net{switch.number}"
        address = switch.address(1 + switch.hosts)
        _ip("link", "add", cable, "type", "veth", "peer", "name", end, "netns", str(self._process.pid))
        _ip("link", "set", cable, "master", switch.name, "up")
        for arguments in (("addr", "add", f"{address}/24", "dev", end), ("link", "set", end, "up")):
            subprocess.run(self.command("ip", *arguments), check=True)
        self._cables.append(cable)
        self.addresses.append(address)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
