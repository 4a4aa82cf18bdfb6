"""The pages and their WebSockets below a path prefix, behind a real nginx."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.promises.certificates import Authority
from tests.promises.nginx_process import nginx
from tests.web.chat_page import enter, expect_picture, picture, received, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab


class PrefixedSite:
    """The server behind the proxy."""

    def __init__(self, port: int, authority: Authority) -> None:
        self.http = f"https://127.0.0.1:{port}/chat"
        self.url = self.http.replace("https", "wss")
        self._authority = authority

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self.http + path, context=self._authority.trust, timeout=60) as answer:  # noqa: S310 - our own
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return int(refusal.code)


@pytest.fixture
def below(server: RunningServer, tmp_path: Path) -> Iterator[PrefixedSite]:
    tmp_path.chmod(0o755)
    authority = Authority(tmp_path)
    with nginx(tmp_path, server.url.removeprefix("ws://"), prefix=True) as running:
        yield PrefixedSite(running.port, authority)


@pytest.mark.parametrize("width", [380, 1280])
def test_the_pages_and_their_websockets_work_below_a_prefix(
    below: PrefixedSite, open_tab: OpenTab, tmp_path: Path, width: int
) -> None:
    ann, bob = enter(open_tab(below, width=width), "ann"), enter(open_tab(below, width=width), "bob")
    say(ann, "below")
    received(bob, "below")
    (tmp_path / "bison.png").write_bytes(picture())
    ann.set_input_files("#file", tmp_path / "bison.png")
    expect_picture(bob, "bison.png")
    expect(ann.locator("[data-metric=connections] dd")).to_have_text("4")
    ann.click("text=Full size")
    expect(ann).to_have_url(below.http + "/live")
    expect(ann.locator("[data-metric=connections] dd")).to_have_text("3")
    ann.click("text=Chat")
    expect(ann).to_have_url(below.http + "/")
    expect(ann.locator("#connection")).to_have_attribute("data-state", "open")


def test_metrics_and_echo_are_not_served_below_the_prefix(below: PrefixedSite) -> None:
    paths = {"/": 200, "/live": 200, "/health": 200, "/metrics": 404, "/ws/echo": 404}
    assert {path: below.status(path) for path in paths} == paths
