"""The start form of Locust's page refuses unusable values, with the reason, before a test starts."""

from __future__ import annotations

import json
import re
import signal
import urllib.parse
import urllib.request
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect
from werkzeug.datastructures import MultiDict

from stampede.dialects.base import Feature
from stampede.locust.settings import OptionError, read_settings
from stampede.locust.web.start_form import check, fields_named_in
from stampede.websocket.errors import ClientError
from tests.stampede.fixtures import TIMEOUT
from tests.stampede.locust.web.pages import expect_settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

    from tests.processes import RunningServer
    from tests.stampede.fixtures import WebLocust


def send(web: WebLocust, **form: object) -> Any:
    data = urllib.parse.urlencode({"user_count": 5, "spawn_rate": 5} | form, doseq=True).encode()
    with urllib.request.urlopen(web._url + "/swarm", data, timeout=TIMEOUT) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"message_rate": "many"}, "--message-rate: 'many' is not a number between 0.001 and 1000"),
        ({"threshold": "deliver_p99 250"}, "--threshold: threshold 'deliver_p99 250' is not of the form"),
        ({"rooms": "3", "room_size": "4"}, "--rooms and --room-size contradict each other"),
        ({"rooms": "1"}, "--rooms 1 is less than the 2 processes"),
        ({"token_file": "/nowhere"}, "--token-file /nowhere: No such file"),
        ({"dialect": "sokcetio"}, "--dialect: 'sokcetio' is not a dialect: give one of stampede, plain"),
        ({"join_grace": "soon"}, "--join-grace: 'soon' is not a number between 0 and 60"),
        ({"rooms_per_user": "2"}, "--rooms-per-user 2: a connection of the stampede dialect can be in 1 only"),
        ({"shape": "ramp"}, "--shape ramp needs the test's length: give -t"),
        ({"shape": "ramp", "run_time": ""}, "--shape ramp needs the test's length: give -t"),
    ],
)
def test_an_unusable_value_is_refused_with_the_option_s_name(form: dict[str, str], words: str) -> None:
    with pytest.raises(OptionError) as refused:
        check(MultiDict(form), Namespace(), None, processes=2)
    assert str(refused.value).startswith(words)


def test_user_classes_that_need_more_than_the_dialect_has_are_refused() -> None:
    typist = type("Typist", (), {"required_features": frozenset({Feature.TYPING})})
    check(MultiDict({"dialect": ""}), Namespace(), None, [typist], processes=1)
    with pytest.raises(OptionError, match=r"^Typist needs typing notices, which the plain dialect does not have"):
        check(MultiDict({"dialect": "plain"}), Namespace(), None, [object, typist], processes=1)


@pytest.mark.parametrize(
    ("host", "words"),
    [("http://127.0.0.1", "not a WebSocket address"), ("ws://no.such.host.invalid", "cannot connect")],
)
def test_an_unusable_address_is_refused(host: str, words: str) -> None:
    with pytest.raises(ClientError, match=words):
        check(MultiDict({"host": host}), Namespace(), None, processes=1)


def test_a_host_name_that_only_remote_workers_can_resolve_is_accepted() -> None:
    check(MultiDict({"host": "ws://no.such.host.invalid"}), Namespace(), None, processes=None)


def test_a_form_with_usable_values_is_accepted() -> None:
    form = {"threshold": "deliver_p99 < 250 ms", "shape": "ramp", "run_time": "30s", "insecure": "true", "rooms": ""}
    check(MultiDict(form), Namespace(), None, processes=1)


def test_only_the_number_of_users_may_change_during_a_test() -> None:
    given = Namespace(message_rate=2.0, threshold=["loss<1%"])
    running = read_settings(given)
    check(MultiDict({"user_count": "9", "message_rate": "2", "threshold": "loss < 1 %"}), given, running, processes=1)
    with pytest.raises(OptionError, match=r"^--message-rate, --threshold: cannot change while a test runs"):
        check(MultiDict({"message_rate": "3", "threshold": "loss<2%"}), given, running, processes=1)
    with pytest.raises(OptionError, match=r"^--rooms or --room-size, --insecure: cannot change"):
        check(MultiDict({"rooms": "3", "insecure": "true"}), given, running, processes=1)
    with pytest.raises(OptionError, match=r"^--dialect, --join-grace: cannot change"):
        check(MultiDict({"dialect": "plain", "join_grace": "2"}), given, running, processes=1)


def test_the_form_selects_a_dialect_that_fits_the_selected_user_classes(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, "--class-picker", "--dialect", "plain", "--join-grace", "0")
    assert '"dialect"' in web.get("/").decode()
    assert send(web)["message"].endswith("the plain dialect does not have: choose other user classes")
    assert not send(web, user_classes="ChattingUser", dialect="sokcetio")["success"]
    assert send(web, user_classes=["TypingUser"], dialect="stampede")["success"]
    web.until(lambda now: now["ready"] == 5 and now["requests"]["WS join"]["count"] == 5)
    assert "--dialect: cannot change" in send(web, dialect="plain")["message"]
    assert web.snapshot()["ready"] == 5


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["one process", "two workers"])
def test_a_refused_form_starts_nothing_and_is_logged_once(
    web_locust: Callable[..., WebLocust], server: RunningServer, processes: list[str]
) -> None:
    web = web_locust("--host", server.url, "ChattingUser", *processes)
    answer = send(web, message_rate="many")
    assert (answer["success"], answer["message"][:23]) == (False, "--message-rate: 'many' ")
    assert web.snapshot()["state"] == "ready"
    assert send(web, message_rate="2", threshold="loss < 50 %")["success"]
    web.until(lambda now: now["ready"] == 5)
    assert not send(web, message_rate="3")["success"]
    assert send(web, user_count=7, message_rate="2")["success"]
    web.until(lambda now: now["ready"] == 7 and now["deliveries"]["received"] > 0)
    web.locust.process.send_signal(signal.SIGTERM)
    ended = web.locust.wait()
    assert ended.log.count("'many'") == 1
    assert "loss<50%             met" in ended.out


def test_a_shape_without_a_length_is_refused_after_a_test_with_a_length(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, "ChattingUser")
    assert send(web, run_time="30s")["success"]
    web.until(lambda now: now["ready"] == 5)
    web.post("/stop")
    web.until(lambda now: now["connections"] == 0)
    answer = send(web, run_time="", shape="ramp")
    assert not answer["success"]
    assert "give -t" in answer["message"]
    assert send(web, run_time="30s", shape="ramp", user_count=60)["success"]
    web.until(lambda now: now["ready"] > 1)  # the number of users grows


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("--message-rate: 'many' is not a number between 0.001 and 1000", ["message_rate"]),
        ("--threshold: threshold '--rooms' is not of the form name<limit", ["threshold"]),
        ("--rooms and --room-size contradict each other: give one of them", ["rooms", "room_size"]),
        ("--rooms-per-user 3 needs at least 3 rooms: --rooms is 2", ["rooms_per_user", "rooms"]),
        ("--shape ramp needs the test's length: give -t", ["shape", "run_time"]),
        ("--message-rate, --threshold: cannot change while a test runs; stop it first", ["message_rate", "threshold"]),
        ("Valid run_time formats are : 20, 20s, 3m, 2h, 1h20m, 3h30m10s, etc.", ["run_time"]),
        ("Missing or invalid user_count or spawn_rate from /swarm request", ["user_count", "spawn_rate"]),
        ("--prometheus-port 80: permission denied", []),
        ("Typist needs typing notices, which the plain dialect does not have: choose other user classes", []),
    ],
)
def test_a_refusal_names_the_fields_that_its_message_is_about(message: str, names: list[str]) -> None:
    form = ("rooms", "message_rate", "threshold", "room_size", "rooms_per_user", "shape", "dialect")
    assert fields_named_in(message, (*form, "run_time", "user_count", "spawn_rate", "host")) == names


def test_a_refused_address_is_that_of_the_host_field(
    web_locust: Callable[..., WebLocust], server: RunningServer
) -> None:
    web = web_locust("--host", server.url, "ChattingUser")
    assert send(web, host="http://127.0.0.1")["fields"] == ["host"]
    assert send(web, host=server.url, user_count="-1")["fields"] == ["user_count", "spawn_rate"]  # refused by Locust
    assert send(web, host=server.url, run_time="soon")["fields"] == ["run_time"]


def test_a_refused_option_is_shown_at_its_field_and_the_form_keeps_what_was_typed(
    web_locust: Callable[..., WebLocust], server: RunningServer, chromium: Browser
) -> None:
    web = web_locust("--host", server.url, "ChattingUser")
    with chromium.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.goto(web._url)
        threshold, rate = page.locator("input[name=threshold]"), page.locator("input[name=messageRate]")
        options = page.get_by_text("Custom parameters")
        options.click()
        rate.fill("3")
        threshold.fill("deliver_p99 250")
        options.click()  # a closed group is opened
        expect(threshold).to_be_hidden()
        page.get_by_role("button", name="Start", exact=True).click()
        words = "--threshold: threshold 'deliver_p99 250' is not of the form"
        expect(threshold).to_be_focused()
        expect(threshold).to_have_attribute("aria-invalid", "true")
        expect(threshold).to_have_accessible_description(re.compile(re.escape(words)))
        expect(threshold).to_be_in_viewport()
        expect(page.locator(".stampede-refused")).to_be_in_viewport()
        expect(page.get_by_role("alert")).to_contain_text(words)
        assert (threshold.input_value(), rate.input_value()) == ("deliver_p99 250", "3")
        threshold.fill("deliver_p99 < 250 ms")
        expect(page.locator(".stampede-refused")).to_have_count(0)
        expect(threshold).to_have_attribute("aria-invalid", "false")
        rate.fill("often")
        page.get_by_role("button", name="Start", exact=True).click()
        expect(rate).to_have_accessible_description(re.compile("^--message-rate: 'often' is not a number"))
        expect(page.locator(".stampede-refused")).to_have_count(1)
        rate.fill("4")
        page.get_by_role("button", name="Start", exact=True).click()
        web.until(lambda now: now["users"] == 1)


def test_a_refused_change_of_a_running_test_keeps_its_dialog_open_with_the_reason(
    web_locust: Callable[..., WebLocust], server: RunningServer, chromium: Browser
) -> None:
    web = web_locust("--host", server.url, "ChattingUser")
    send(web)
    web.until(lambda now: now["ready"] == 5)
    with chromium.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.goto(web._url)
        expect_settled(page)
        page.get_by_role("button", name="Edit").click()
        page.get_by_text("Custom parameters").click()
        rate, users = page.locator("input[name=messageRate]"), page.locator("input[name=userCount]")
        kept = rate.input_value()
        rate.fill("9")
        users.fill("7")
        page.get_by_role("button", name="Update").click()
        expect(rate).to_have_accessible_description(re.compile("^--message-rate: cannot change while a test runs"))
        assert (rate.input_value(), users.input_value()) == ("9", "7")
        rate.fill(kept)
        page.get_by_role("button", name="Update").click()
        expect(rate).to_have_count(0)
    web.until(lambda now: now["ready"] == 7)
