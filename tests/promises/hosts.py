"""Network namespaces as hosts, on one switch or several, whose cables can be pulled.

A program that wants them runs itself in fresh namespaces (`inside`), of processes too: whatever it starts and makes is
gone with it, however it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Self

_UNSHARE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def problem() -> str:
    """Return why there can be no hosts here, in one line, or nothing."""
    for tool, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            return f"{tool} not found: install {package}"
    command = inside("ip", "link", "add", "type", "veth")
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no network namespaces here: {tried.stderr.strip().splitlines()[-1]}"
    return ""


def inside(*command: str) -> list[str]:
    """Return the command that runs another where it may make hosts."""
    return [*_UNSHARE, *([] if os.geteuid() == 0 else ["--map-root-user"]), *command]


class Switch:
    """What cables go into; this process has one too, with the first address.

    Args:
        number: tells switches apart; its addresses are 10.0.NUMBER.0/24.
    """

    def __init__(self, number: int) -> None:
        self.name = f"switch{number}"
        self.number = number
        self.hosts = 0
        _ip("link", "set", "lo", "up")
        _ip("link", "add", self.name, "type", "bridge")
        _ip("addr", "add", f"{self.address(1)}/24", "dev", self.name)
        _ip("link", "set", self.name, "up")

    def address(self, place: int) -> str:
        """Return the address of a place."""
        return f"10.0.{self.number}.{place}"


class Host:
    """A namespace of its own, with a cable to each switch, in the order of its `addresses`."""

    def __init__(self, *switches: Switch) -> None:
        self._switches = switches
        self._cables: list[str] = []
        self.addresses: list[str] = []
        # Says when it is there: a namespace is entered by way of a process that lives in it.
        command = ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        subprocess.run(self.command("ip", "link", "set", "lo", "up"), check=True)
        for switch in switches:
            self._connect(switch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._holder.kill()
        self._holder.communicate()

    def command(self, *command: str) -> list[str]:
        """Return the command that runs another on this host."""
        return ["nsenter", "--target", str(self._holder.pid), "--net", "--", *command]

    def cut(self, switch: Switch) -> None:
        """Let a cable lead nowhere, without either end noticing."""
        _ip("link", "set", self._cable(switch), "nomaster")

    def heal(self, switch: Switch) -> None:
        """Let it lead to its switch again."""
        _ip("link", "set", self._cable(switch), "master", switch.name)

    def _cable(self, switch: Switch) -> str:
        return self._cables[self._switches.index(switch)]

    def _connect(self, switch: Switch) -> None:
        switch.hosts += 1
        cable, end = f"cable{switch.number}-{switch.hosts}", f"net{switch.number}"
        address = switch.address(1 + switch.hosts)
        _ip("link", "add", cable, "type", "veth", "peer", "name", end, "netns", str(self._holder.pid))
        _ip("link", "set", cable, "master", switch.name, "up")
        for words in (("addr", "add", f"{address}/24", "dev", end), ("link", "set", end, "up")):
            subprocess.run(self.command("ip", *words), check=True)
        self._cables.append(cable)
        self.addresses.append(address)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
