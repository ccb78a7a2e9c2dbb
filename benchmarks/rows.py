"""Measures the rows of a benchmark, prints them as a table, and writes them where asked."""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import rich.progress
from comparisons import Job
from pairs import Pairs, geometric_mean, measure, row
from table import show

SECONDS = 0.025  # one timing takes that long at least


def measured(chosen: list[Job], pairs: int) -> list[dict]:
    """The rows, and one for each group."""
    rows, groups, targets = [], defaultdict(list), {}
    with rich.progress.Progress(auto_refresh=False, transient=True) as progress:
        bar = progress.add_task("", total=len(chosen))
        for job in chosen:
            progress.update(bar, description=job.name, refresh=True)
            found = job.sides()
            if not isinstance(found, Pairs):  # measured already, in other processes
                found = measure(*found, pairs, SECONDS)
            rows.append(row(job.name, found, job.target))
            groups[job.group].append(found)
            targets[job.group] = job.target
            progress.advance(bar)
    for group, found in groups.items():
        name = f"{group}: geometric mean of the {len(found)} rows"
        rows.append(row(name, geometric_mean(found), targets[group]))
    return rows


def main(description: str, jobs: Iterable[Job]) -> None:
    """The command line of a benchmark."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the table")
    parser.add_argument("--only", default="", metavar="NAME", help="a part of the rows' names")
    parser.add_argument("--pairs", type=int, default=21, help="pairs of timings for each row")
    options = parser.parse_args()
    chosen = [job for job in jobs if options.only.lower() in job.name.lower()]
    if not chosen:
        parser.error(f"no row is called {options.only!r}")
    rows = measured(chosen, options.pairs)
    show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
