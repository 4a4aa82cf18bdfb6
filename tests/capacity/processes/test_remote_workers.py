"""Where workers on other machines connect to."""

from __future__ import annotations

import ipaddress
import platform
import socket

import pytest

from capacity.errors import UsageError
from capacity.processes.process import free_port
from capacity.processes.remote_workers import RemoteWorkers


def remote(bind_host: str | None = None, port: int = 5557) -> RemoteWorkers:
    return RemoteWorkers(2, bind_host, port, 60.0)


def test_a_given_address_is_that_of_the_command() -> None:
    assert remote("10.0.0.5").address("ws://chat.example.org") == "10.0.0.5"
    assert remote("10.0.0.5", 7000).command("10.0.0.5") == (
        ".venv/bin/locust -f - --worker --master-host 10.0.0.5 --master-port 7000"
    )


@pytest.mark.parametrize("bind_host", [None, "*", "0.0.0.0"])  # noqa: S104 - values of the option
def test_without_one_it_is_an_address_that_other_machines_can_reach(bind_host: str | None) -> None:
    found = remote(bind_host).address("ws://127.0.0.1:8080")
    assert found == platform.node() or not ipaddress.ip_address(found).is_loopback


def test_the_master_listens_where_it_is_told_to() -> None:
    assert remote().arguments() == ["--master", "--master-bind-host", "*", "--master-bind-port", "5557"]
    assert remote("10.0.0.5", 7000).arguments()[2:] == ["10.0.0.5", "--master-bind-port", "7000"]


def test_a_taken_port_and_a_foreign_address_are_one_line() -> None:
    remote("127.0.0.1", free_port()).check()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"^--master-bind-host 127.0.0.1, port {port}: .*in use"):
            remote("127.0.0.1", port).check()
    with pytest.raises(UsageError, match=r"^--master-bind-host 192.0.2.1, port 5557: cannot assign"):
        remote("192.0.2.1").check()
