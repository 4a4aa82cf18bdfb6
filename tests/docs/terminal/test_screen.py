from __future__ import annotations

import io

from rich.console import Console
from rich.live import Live
from rich.text import Text

from docs.terminal.screen import Screen


def plain(screen: Screen) -> list[str]:
    return [Text.from_ansi(line).plain for line in screen.lines()]


def test_lines_end_at_each_line_feed() -> None:
    screen = Screen()
    screen.write("one\r\ntwo")
    screen.write(" three\r\n\r\n")
    assert plain(screen) == ["one", "two three"]


def test_text_after_a_carriage_return_replaces_the_line() -> None:
    screen = Screen()
    screen.write("1 of 2\r2 of 2\r\n")
    assert plain(screen) == ["2 of 2"]


def test_an_escape_sequence_may_come_in_two_pieces() -> None:
    whole, split = Screen(), Screen()
    output = "users  \x1b[2mgenerator\x1b[0m\r\n"
    whole.write(output)
    for character in output:
        split.write(character)
    assert split.lines() == whole.lines()
    assert plain(whole) == ["users  generator"]


def test_a_live_display_shows_its_last_state_below_what_was_printed() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=40, legacy_windows=False)
    screen = Screen()
    with Live(console=console, auto_refresh=False) as live:
        for number in range(3):
            live.update("\n".join(["row"] * (number + 1)) + f" {number}", refresh=True)
        live.console.print("[bold green]a notice[/]")
        live.update("the answer", refresh=True)
    screen.write(output.getvalue().replace("\n", "\r\n"))  # as a terminal receives it
    assert plain(screen) == ["a notice", "the answer"]
    assert "\x1b[1;32m" in screen.lines()[0]
