"""The live page in a real browser shows the load of the real server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.clients import ChatClient

if TYPE_CHECKING:
    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab


def test_the_live_page_shows_what_the_server_does(server: RunningServer, open_tab: OpenTab) -> None:
    live = open_tab(server, "/live")
    with ChatClient(server.url) as ann:
        ann.send("joinRoom", room="red")
        expect(live.locator("[data-metric=connections] dd")).to_have_text("2")
        expect(live.locator("[data-metric=rooms] dd")).to_have_text("1")
        expect(live.locator("[data-metric=loopLag] dd")).to_have_text(re.compile(r"^\d+(\.\d)? ms$"))
        # A copy each time: Chromium complains of a canvas that is read twice.
        drawn = """canvas => {
            const {width, height} = canvas;
            if (!width || !height) return false;
            const pen = new OffscreenCanvas(width, height).getContext("2d");
            pen.drawImage(canvas, 0, 0);
            return pen.getImageData(0, 0, width, height).data.some(Boolean);
        }"""
        for canvas in live.locator("canvas").element_handles():
            live.wait_for_function(drawn, arg=canvas)
    expect(live.locator("[data-metric=connections] dd")).to_have_text("1")
    server.stop()
    expect(live.locator("[data-feed]")).to_have_text("server not reachable; trying again")
    expect(live.locator("[data-metric=connections] dd")).to_have_text("\N{EN DASH}")
