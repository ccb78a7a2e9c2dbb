"""The command line: `python -m tfk_patterns`."""

import argparse
import sys
from collections.abc import Sequence

from tfk_patterns._command_line import Parser
from tfk_patterns._commands import check
from tfk_patterns._commands.usage import UsageError

_COMMANDS = {"check": check}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status; 2 where it was called wrongly.

    Args:
        arguments: The words after the program's name; those of this process by default.
    """
    parser = Parser(prog="python -m tfk_patterns", description="Advanced tf.keras layers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, command in _COMMANDS.items():
        summary, _, details = command.__doc__.partition("\n\n")
        own = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=details,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(own)
    given, more = parser.parse_known_args(arguments)
    unknown = [word for word in more if word.startswith("-")]
    if unknown:
        parser.error(f"there is no option {unknown[0]}")
    given.arguments = [*given.arguments, *more]  # argparse loses those behind an option
    try:
        return _COMMANDS[given.command].run(given)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
