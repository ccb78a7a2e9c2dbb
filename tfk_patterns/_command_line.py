"""What the command lines of the package share."""

import argparse
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, without the usage: `--help` has it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (--help shows what can be given)\n")
