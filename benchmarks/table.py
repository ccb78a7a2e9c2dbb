"""Rows of a benchmark as a table in the terminal."""

import os

import rich
import rich.table
import tensorflow as tf

from tfk_patterns import _keras


def show(rows: list[dict]) -> None:
    """Prints the table."""
    title = f"TensorFlow {tf.__version__}, Keras {_keras.GENERATION}; milliseconds"
    table = rich.table.Table(title=title, caption=f"load {os.getloadavg()[1]:.1f}")
    for column in ("", "ours", "peer", "ratio", "95 % interval", "target", "verdict"):
        table.add_column(column, justify="left" if column in ("", "verdict") else "right")
    for found in rows:
        numbers = [f"{found[key]:.3f}" for key in ("ours", "peer", "ratio")]
        known = found["low"] is not None
        between = f"{found['low']:.3f} to {found['high']:.3f}" if known else ""
        table.add_row(found["name"], *numbers, between, str(found["target"]), found["verdict"])
    rich.print(table)
