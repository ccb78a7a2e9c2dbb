"""One rich renderable, shown in a terminal, as plain text, and in a notebook."""

import io

_WIDTH = 110


def to_text(renderable) -> str:
    """The renderable as plain text, without colours."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, legacy_windows=False)
    console.print(renderable)
    lines = console.file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def to_html(renderable) -> str:
    """The renderable as an HTML fragment."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=_WIDTH, record=True, legacy_windows=False)
    console.print(renderable)
    return console.export_html(
        inline_styles=True,
        code_format='<pre style="font-family: monospace; line-height: 1.2">{code}</pre>',
    )
