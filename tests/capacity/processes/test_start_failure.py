"""Why Locust did not start, in one line."""

from __future__ import annotations

import pytest

from capacity.processes.start_failure import explain_start_failure

LOG = "[2026-11-30 06:53:40,484] vm/ERROR/locust.main: "
TRACEBACK = """Traceback (most recent call last):
  File "/site-packages/locust/util/load_locustfile.py", line 71, in load_locustfile
    loader.exec_module(imported)
  File "/own/shop.py", line 2, in <module>
    price = int("free")
ValueError: invalid literal for int() with base 10: 'free'
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (TRACEBACK, "--locustfile shop.py: ValueError: invalid literal for int() with base 10: 'free' (line 2)"),
        (f"{LOG}No User class found!\n", "--locustfile shop.py: No User class found!"),
        (f"{LOG}Unknown User(s): Buyerr\n\n", "--mix: no user class Buyerr in shop.py"),
        ("", "--locustfile shop.py: no output"),
    ],
    ids=["an exception", "no class", "an unknown class", "nothing"],
)
def test_an_unusable_locustfile_is_explained_in_one_line(output: str, line: str) -> None:
    assert explain_start_failure(output, "/own/shop.py", is_usage=False) == line


def test_a_refused_option_is_explained_in_the_words_of_the_load_test() -> None:
    output = "warning\nlocust: error: --header: the server said error: no\n"
    assert explain_start_failure(output, "/own/shop.py", is_usage=True) == "--header: the server said error: no"
