"""Uploads of the chat page in a real browser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.web.chat_page import enter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import RunningServer
    from tests.web.fixtures import OpenTab


def test_a_file_of_five_megabytes_is_stored_unchanged_and_shows_its_progress(
    server: RunningServer, open_tab: OpenTab, tmp_path: Path
) -> None:
    content = os.urandom(5_000_000)
    (tmp_path / "large.bin").write_bytes(content)
    ann, bob = enter(open_tab(server), "ann"), enter(open_tab(server), "bob")
    ann.evaluate(
        """() => {
            window.progress = [];
            new MutationObserver(() => {
                const bar = document.querySelector("#uploads progress");
                if (bar) window.progress.push(bar.value / bar.max);
            }).observe(document.querySelector("#uploads"), {subtree: true, childList: true, attributes: true});
        }"""
    )
    ann.set_input_files("#file", tmp_path / "large.bin")
    for page in (ann, bob):
        expect(page.locator("#messages .file")).to_have_text("large.bin5.0 MB")
    expect(ann.locator("#uploads li")).to_have_count(0)
    steps = ann.evaluate("window.progress")
    assert steps == sorted(steps)
    assert len({step for step in steps if 0 < step < 1}) > 10
    (stored,) = [path for path in (tmp_path / "uploads").iterdir() if path.suffix != ".json"]
    assert stored.read_bytes() == content


def test_files_can_be_dropped_and_failed_uploads_dismissed(server: RunningServer, open_tab: OpenTab) -> None:
    ann = enter(open_tab(server), "ann")
    drop = """([size, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(size)], "dropped.bin"));
        const event = (type) => new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true});
        document.body.dispatchEvent(event("dragenter"));
        const shown = !document.getElementById("drop").hidden;
        document.body.dispatchEvent(event("drop"));
        return [shown, document.getElementById("drop").hidden];
    }"""
    assert ann.evaluate(drop, [1000, ""]) == [True, True]
    expect(ann.locator("#messages .mine .file")).to_have_text("dropped.bin1.0 kB")
    ann.evaluate(drop, [26_214_401, ""])
    expect(ann.locator("#uploads [role=alert]")).to_have_text("the file is larger than 26214400 bytes")
    ann.get_by_role("button", name="Dismiss").click()
    expect(ann.locator("#uploads li")).to_have_count(0)
