"""Find the processes that listen at an address of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from capacity.measure.listening import find_listening, is_on_this_machine
from capacity.processes.process import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capacity.measure.local_servers import Listening


def test_a_process_that_listens_on_the_loopback_or_everywhere_is_found(listen: Callable[..., Listening]) -> None:
    alone = listen()
    assert find_listening(f"{alone.url}/ws") == [psutil.Process(alone.process.pid)]
    everywhere = listen("")
    assert find_listening(f"ws://localhost:{everywhere.port}") == [psutil.Process(everywhere.process.pid)]


def test_a_master_that_shares_its_socket_stands_for_its_children(listen: Callable[..., Listening]) -> None:
    server = listen(children=3)
    assert find_listening(server.url) == [psutil.Process(server.process.pid)]


def test_every_address_of_this_machines_interfaces_is_on_this_machine() -> None:
    """Also if the process is not visible, as for a container with a published port."""
    own = [one.address for found in psutil.net_if_addrs().values() for one in found if one.family.name == "AF_INET"]
    assert own
    for address in own:
        url = f"ws://{address}:{free_port()}"
        assert is_on_this_machine(url)
        assert find_listening(url) == []


@pytest.mark.parametrize("url", ["ws://192.0.2.1:8080", "wss://[2001:db8::1]", "ws://no-such-name.invalid:1"])
def test_another_machine_is_not_this_machine(url: str) -> None:
    assert not is_on_this_machine(url)
    assert find_listening(url) == []
