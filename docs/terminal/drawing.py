"""Draw the screens of a terminal as one SVG, which shows them one after the other. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.style import Style

_CHARACTER: Final = 8.4
"""Width of a character in pixels, of a font of 14 pixels."""
_LINE: Final = 18
_MARGIN: Final = 16
_TOP: Final = 40
_RED, _GREEN, _YELLOW, _BLUE, _MAGENTA, _CYAN, _GRAY = (
    "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#8b949e",
)  # fmt: skip
_COLORS: Final = {1: _RED, 2: _GREEN, 3: _YELLOW, 4: _BLUE, 5: _MAGENTA, 6: _CYAN, 8: _GRAY}
"""By the number of a colour in terminals."""
_STYLE: Final = (
    'text{font:14px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#d0d7de;white-space:pre}'
    f".b{{font-weight:bold}}.d{{fill:{_GRAY}}}"
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A screen, and the share of the film in which it is shown."""

    lines: Sequence[str]
    share: float = 1.0


def draw(command: str, frames: Sequence[Frame], label: str, *, columns: int, seconds: float = 20) -> str:
    """Return an SVG with a command and the screens that follow.

    Args:
        command: what was typed.
        frames: the screens.
        label: description for readers who do not see the picture.
        columns: width of the terminal; longer lines continue on the next one.
        seconds: length of the film, if there are several screens. It repeats.
    """
    screens = [[part for line in frame.lines for part in _wrapped(line, columns)] for frame in frames]
    width = round(2 * _MARGIN + columns * _CHARACTER)
    height = _TOP + _LINE * max(len(screen) for screen in screens) + _MARGIN
    style = _STYLE + (_film([frame.share for frame in frames], seconds) if len(frames) > 1 else "")
    groups = [
        f'<g class="f{number}">{"".join(_line(line, row) for row, line in enumerate(screen, 1))}</g>'
        for number, screen in enumerate(screens)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(label)}"><style>{style}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117"/>'
        f'<text x="{_MARGIN}" y="{_TOP}"><tspan style="fill:{_GREEN}">$</tspan> {escape(command)}</text>'
        f"{''.join(groups)}</svg>\n"
    )


def _wrapped(line: str, columns: int) -> Iterator[Text]:
    text = Text.from_ansi(line)
    text.expand_tabs()
    yield from text.divide(range(columns, len(text), columns)) if len(text) > columns else [text]


def _line(text: Text, row: int) -> str:
    column, parts = 0, []
    for segment in text.render(Console(), end=""):
        shown = segment.text.strip()
        if shown:
            start = column + len(segment.text) - len(segment.text.lstrip())
            parts.append(
                f'<text x="{_MARGIN + start * _CHARACTER:.0f}" y="{_TOP + row * _LINE + 4}" '
                f'textLength="{len(shown) * _CHARACTER:.0f}"{_attributes(segment.style)}>{escape(shown)}</text>'
            )
        column += len(segment.text)
    return "".join(parts)


def _attributes(style: Style | None) -> str:
    if style is None:
        return ""
    names = "b" * bool(style.bold) + " " * bool(style.bold and style.dim) + "d" * bool(style.dim)
    color = _COLORS.get(style.color.number or 0) if style.color is not None else None
    return (f' class="{names}"' if names else "") + (f' style="fill:{color}"' if color else "")


def _film(shares: Sequence[float], seconds: float) -> str:
    """Return the rules that show one screen after the other, and only the last one to readers who want no motion."""
    rules, begin, total = [], 0.0, sum(shares)
    for number, share in enumerate(shares):
        end = begin + 100 * share / total
        is_last = number == len(shares) - 1
        steps = ["0%{opacity:0}"] * bool(begin) + [f"{begin:.1f}%{{opacity:1}}"]
        steps += [] if is_last else [f"{end:.1f}%{{opacity:0}}"]
        hidden = "" if is_last else "opacity:0;"
        rules.append(f".f{number}{{{hidden}animation:k{number} {seconds:g}s steps(1) infinite}}")
        rules.append(f"@keyframes k{number}{{{''.join(steps)}}}")
        begin = end
    return "".join(rules) + "@media (prefers-reduced-motion){g{animation:none!important}}"
