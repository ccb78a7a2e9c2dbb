"""One rich renderable as plain text, in a notebook, and as a page of its own."""

import dataclasses
import html
import io
import re
from collections.abc import Iterable
from typing import Any

_WIDTH = 110
# A page holds each part in two widths and shows one: on a phone the narrow one fits the screen.
_WIDE, _NARROW = 100, 46
# In a notebook rich would display what is printed, whatever the file.
_INTO_A_STRING = {"force_jupyter": False, "legacy_windows": False}
_NAMES = ("red", "green", "yellow", "blue", "magenta", "cyan", "grey")
_ON_LIGHT = ("#b42318", "#18794e", "#8a5a00", "#0550ae", "#8250df", "#0e7490", "#59636e")
_ON_DARK = ("#ff8a80", "#5fd38d", "#e3b341", "#79b8ff", "#d2a8ff", "#56d4dd", "#9aa4b0")
_ON_BOTH = ("#d9483b", "#2b9a57", "#b07d18", "#3b82d6", "#a371f7", "#1b9aaa", "#808890")
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; {light} }}
body {{ margin: 0 auto; padding: 1rem; max-width: 58rem; background: #fff; color: #1f2328;
  font: 16px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.4rem; margin: 0; }}
h1 + p {{ margin: 0 0 1rem; color: var(--grey); }}
details {{ border-top: 1px solid #8884; padding: 0.6rem 0; }}
summary {{ cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }}
pre {{ margin: 0.6rem 0; overflow-x: auto; font-size: 14px; line-height: 1.4;
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
a {{ color: var(--blue); }}
.narrow {{ display: none; }}
@media (max-width: 60rem) {{
  .wide {{ display: none; }}
  .narrow {{ display: block; font-size: min(15px, calc((100vw - 2rem) / {narrow} / 0.61)); }}
}}
@media (prefers-color-scheme: dark) {{
  :root {{ {dark} }}
  body {{ background: #15181d; color: #e6edf3; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{subtitle}</p>
{sections}
</body>
</html>
"""
_SECTION = """\
<details{state}>
<summary>{heading}</summary>
{wide}
{narrow}
</details>"""


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page, under a heading that opens and closes it."""

    heading: str
    renderable: Any
    is_open: bool


def to_text(renderable) -> str:
    """The renderable as plain text, without colours."""
    from rich.console import Console

    console = Console(**_INTO_A_STRING, file=io.StringIO(), width=_WIDTH, color_system=None)
    console.print(renderable)
    lines = console.file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def to_html(renderable) -> str:
    """The renderable as an HTML fragment, to be read on light and on dark notebooks."""
    style = 'style="font-family: monospace; line-height: 1.3"'
    return _preformatted(renderable, _WIDTH, _ON_BOTH, style)


def to_page(title: str, subtitle: str, sections: Iterable[Section]) -> str:
    """An HTML page that needs nothing else, for light and dark screens, wide ones and phones."""
    light, dark = (
        " ".join(f"--{name}: {colour};" for name, colour in zip(_NAMES, colours, strict=True))
        for colours in (_ON_LIGHT, _ON_DARK)
    )
    return _PAGE.format(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        light=light,
        dark=dark,
        narrow=_NARROW,
        sections="\n".join(map(_section, sections)),
    )


def _section(section: Section) -> str:
    wide, narrow = (
        _preformatted(section.renderable, width, _ON_LIGHT, f'class="{name}"')
        for name, width in (("wide", _WIDE), ("narrow", _NARROW))
    )
    return _SECTION.format(
        state=" open" if section.is_open else "",
        heading=html.escape(section.heading),
        wide=_with_named_colours(wide),
        narrow=_with_named_colours(narrow),
    )


def _with_named_colours(code: str) -> str:
    """The code with variables of the page in the place of the light colours, in styles alone."""
    names = dict(zip(_ON_LIGHT, _NAMES, strict=True))

    def named(style: re.Match) -> str:
        return re.sub(r"#\w{6}", lambda found: f"var(--{names[found.group()]})", style.group())

    return re.sub(r'style="[^"]*"', named, code)


def _preformatted(renderable, width: int, colours: tuple[str, ...], attributes: str) -> str:
    from rich.color import parse_rgb_hex
    from rich.console import Console
    from rich.terminal_theme import TerminalTheme

    red, green, yellow, blue, magenta, cyan, grey = (parse_rgb_hex(c[1:]) for c in colours)
    eight = [grey, red, green, yellow, blue, magenta, cyan, grey]
    console = Console(**_INTO_A_STRING, file=io.StringIO(), width=width, record=True)
    console.print(renderable)
    return console.export_html(
        theme=TerminalTheme((255, 255, 255), (0, 0, 0), eight, eight),
        inline_styles=True,
        code_format=f"<pre {attributes}>{{code}}</pre>",
    )
