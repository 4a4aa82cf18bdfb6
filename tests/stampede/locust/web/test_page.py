"""Additions to Locust's web page: a form that starts a storm, and the table of storms."""

from __future__ import annotations

import urllib.error
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.stampede.fixtures import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

    from tests.processes import RunningServer
    from tests.stampede.fixtures import WebLocust

TALK = ("--room-size", "10", "--message-rate", "5", "ChattingUser")


def test_the_storm_form_starts_a_storm_while_a_test_runs(
    web_locust: Callable[..., WebLocust], server: RunningServer, chromium: Browser
) -> None:
    web = web_locust("--host", server.url, *TALK)
    with chromium.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.goto(web._url)
        form = page.get_by_role("form", name="Storm", include_hidden=True)
        expect(form).to_be_hidden()
        web.post("/swarm", user_count=10, spawn_rate=10)
        web.until(lambda now: now["ready"] == 10)
        form.get_by_role("spinbutton").fill("30")
        form.get_by_label("How they drop").select_option("with a close handshake")
        form.get_by_role("button", name="Start storm").click()
        expect(form).to_contain_text("Storm 1 started", timeout=TIMEOUT * 1000)
        web.post("/stop")
        expect(form).to_be_hidden(timeout=TIMEOUT * 1000)
    (storm,) = web.snapshot()["storms"]
    assert (storm["users"], storm["dropped"]) == (10, 3)


def test_an_unusable_storm_request_is_refused_with_the_reason(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, *TALK)
    web.post("/swarm", user_count=2, spawn_rate=2)
    web.until(lambda now: now["ready"] == 2)
    for name, value in (("share", "many"), ("share", "0"), ("share", "1.5"), ("manner", "rude")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            web.post("/stampede/storm", **{name: value})
        assert refused.value.code == 400
        assert value in refused.value.read().decode()
        refused.value.close()


def test_a_watch_counts_the_users_that_the_server_drops_in_the_table_of_storms(
    web_locust: Callable[..., WebLocust], start: Callable[..., RunningServer]
) -> None:
    server = start("--drain-seconds", "0")
    web = web_locust("--host", server.url, *TALK)
    with pytest.raises(urllib.error.HTTPError) as refused:
        web.post("/stampede/watch")
    assert refused.value.read() == b"no test is running\n"
    refused.value.close()
    web.post("/swarm", user_count=4, spawn_rate=4)
    web.until(lambda now: now["ready"] == 4)
    for _ in range(2):  # a repeated request starts no second watch
        web.post("/stampede/watch", request="one")
    with pytest.raises(urllib.error.HTTPError) as refused:
        web.post("/stampede/storm", share="0.5")
    assert b"a watch is in progress" in refused.value.read()
    refused.value.close()
    server.stop()
    web.until(lambda now: now["storms"][0]["dropped"] == 4)
    (storm,) = web.snapshot()["storms"]
    assert (storm["users"], storm["watch"]["lost"], storm["watch"]["is_ended"]) == (4, 4, False)
    web.post("/stampede/watch/end")
    web.until(lambda now: now["storms"][0]["watch"]["is_ended"])
