"""The address of a stored file, and the headers that keep a browser from running it."""

from __future__ import annotations

import math
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.http.files import SHOWN, content_disposition, duration, file_id_of, no_file, stored_file
from server.http.pages import WEB
from server.http.response import serialize

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "path",
    [
        "/files",
        "/files/",
        f"/files/{ID}/",
        f"/files/{ID.upper()}",
        f"/files/{ID}.json",
        f"/files/{ID}.part",
        f"/files/../{ID}",
        "/files/../../etc/passwd",
        f"/files/{ID}\n",
        f"/files/{ID[1:]}",
        f"/FILES/{ID}",
        f"//files/{ID}",
    ],
)
def test_only_an_id_is_the_address_of_a_file(path: str) -> None:
    assert file_id_of(path) is None


def test_the_address_of_a_file_is_its_id() -> None:
    assert file_id_of(f"/files/{ID}") == ID


@pytest.mark.parametrize(
    ("mime_type", "served", "kind"),
    [
        ("image/png", "image/png", "inline"),
        ("IMAGE/JPEG; q=1", "image/jpeg", "inline"),
        ("text/plain", "text/plain; charset=utf-8", "inline"),
        ("application/json", "text/plain; charset=utf-8", "inline"),
        ("text/html", "application/octet-stream", "attachment"),
        ("text/html, image/png", "application/octet-stream", "attachment"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
        ("application/xhtml+xml", "application/octet-stream", "attachment"),
        ("application/pdf", "application/octet-stream", "attachment"),
        ("text/javascript", "application/octet-stream", "attachment"),
        ("image/png\r\nX-Evil: 1", "application/octet-stream", "attachment"),
        ("", "application/octet-stream", "attachment"),
    ],
)
def test_only_pictures_and_plain_text_are_shown(mime_type: str, served: str, kind: str) -> None:
    response = stored_file("a", mime_type, math.inf)
    assert (response.content_type, response.headers["Content-Disposition"].split(";")[0]) == (served, kind)
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_the_page_previews_the_types_that_a_browser_shows() -> None:
    script = (WEB / "shared-file.js").read_text()
    lists = re.findall(r"const (?:PICTURES|TEXTS) = new Set\(\[(.*?)\]\)", script)
    assert len(lists) == 2
    assert set(re.findall(r'"([^"]+)"', " ".join(lists))) == set(SHOWN)


def test_no_served_type_can_contain_a_script() -> None:
    assert {served.split(";")[0].split("/")[0] for served in SHOWN.values()} == {"image", "text"}
    assert not [served for served in SHOWN.values() if "svg" in served or "html" in served or "xml" in served]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("notes.txt", "notes.txt"),
        ("<img src=x>.html", "_img src=x_.html"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\boot.ini", "C__boot.ini"),
        ('a";b=c\r\nX-Evil: 1.txt', "a_;b=cX-Evil_ 1.txt"),
        ("\u202egnp.exe", "gnp.exe"),
        ("Bücher 🦬.png", "Bücher 🦬.png"),
        ("", "file"),
        ("..", "file"),
        ("\x00\x07", "file"),
        ("x" * 500 + ".jpeg", "x" * 95 + ".jpeg"),
    ],
)
def test_the_name_of_a_file_is_safe_and_keeps_its_letters(name: str, expected: str) -> None:
    value = content_disposition(name, is_shown=False)
    assert unquote(value.rpartition("''")[2]) == expected


@given(st.text(max_size=300), st.text(max_size=50))
def test_no_name_or_type_adds_a_header(name: str, mime_type: str) -> None:
    head = serialize(stored_file(name, mime_type, math.inf), head_only=True, length=1)
    lines = head.split(b"\r\n")
    assert len(lines) == 14
    assert lines[-2:] == [b"", b""]
    assert max(map(len, lines)) < 1600
    assert head.isascii()
    assert head.count(b'"') == 2  # the name in quotes


@pytest.mark.parametrize(("left", "age"), [(math.inf, 3600), (86400.0, 3600), (10.9, 10), (0.1, 0)])
def test_a_browser_keeps_a_file_no_longer_than_the_server(left: float, age: int) -> None:
    assert stored_file("a", "text/plain", left).headers["Cache-Control"] == f"private, max-age={age}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.0, "1 second"), (90.0, "90 seconds"), (3600.0, "60 minutes"), (86400.0, "24 hours"), (864000.0, "10 days")],
)
def test_the_retention_is_told_in_a_readable_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
    assert text.encode() in no_file(seconds).body


def test_without_a_retention_nothing_is_said_of_it() -> None:
    assert no_file(0).body == b"There is no such file.\n"
