"""One renderable, as text, in a notebook and as a page."""

import html.parser
import re

import pytest
from rich.table import Table
from rich.text import Text

from tfk_patterns import _render

TABLE = Table(title="What <b> & c are", title_justify="left")
TABLE.add_column("name", style="bold red")
TABLE.add_column("link")
TABLE.add_row("<b>", Text("read on", "link https://keras.io/?a=1&b=2"))
PAGE = _render.to_page(
    "Two <tables>",
    "today",
    [_render.Section("one", TABLE, True), _render.Section("&", TABLE, False)],
)


class Tags(html.parser.HTMLParser):
    """Fails where an element is not closed, or another one is."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.seen = [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


@pytest.mark.parametrize("text", [_render.to_html(TABLE), PAGE], ids=["notebook", "page"])
def test_html_is_well_formed_and_escaped(text):
    tags = Tags(text)
    assert not [tag for tag, _ in tags.seen if tag in ("b", "tables")]
    assert {attrs["href"] for tag, attrs in tags.seen if tag == "a"}


def test_a_page_needs_nothing_else():
    fetched = {"script", "link", "img", "iframe", "object", "embed"}
    assert not fetched & {tag for tag, _ in Tags(PAGE).seen}
    assert "url(" not in PAGE
    assert "@import" not in PAGE


def test_a_page_has_a_light_and_a_dark_look():
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6});", look))
        for look in PAGE.split("@media (prefers-color-scheme: dark)")
    )
    assert light.keys() == dark.keys()
    assert not set(light.values()) & set(dark.values())
    used = set(re.findall(r"var\(--(\w+)\)", PAGE))
    assert "red" in used <= light.keys()
    assert not re.search(r"#\w{6}", PAGE.split("</style>")[1])  # all colours have both looks


@pytest.mark.parametrize(("background", "look"), [("#ffffff", 0), ("#15181d", 1)])
def test_its_colours_can_be_read(background, look):
    """Contrast of 4.5 to 1: https://www.w3.org/TR/WCAG21/#contrast-minimum."""
    half = PAGE.split("@media (prefers-color-scheme: dark)")[look]
    for colour in re.findall(r"--\w+: (#\w{6});", half):
        low, high = sorted((_luminance(colour), _luminance(background)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour


def _luminance(colour):
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_part_comes_in_two_widths_and_open_or_closed():
    tags = Tags(PAGE).seen
    assert [attrs.get("class") for tag, attrs in tags if tag == "pre"] == ["wide", "narrow"] * 2
    assert ["open" in attrs for tag, attrs in tags if tag == "details"] == [True, False]


def test_a_notebook_changes_nothing(monkeypatch, capsys):
    text, html_of_notebook = _render.to_text(TABLE), _render.to_html(TABLE)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert _render.to_text(TABLE) == text
    assert _render.to_html(TABLE) == html_of_notebook
    assert capsys.readouterr().out == ""


def test_a_colour_in_a_text_stays():
    page = _render.to_page("", "", [_render.Section("", Text("#b42318", "red"), True)])
    assert ">#b42318" in page


def test_text_has_no_colours():
    assert "\x1b" not in _render.to_text(TABLE)
    assert "What <b> & c are" in _render.to_text(TABLE)
