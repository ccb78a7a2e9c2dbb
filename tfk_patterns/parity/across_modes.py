"""A case in eager mode, beside the same in the graph and in XLA."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from tfk_patterns.parity.outcome import Skip
from tfk_patterns.parity.subject import Subject

TRACE_TIME = (
    "eager_only",
    "wrapped_call",
    "frozen_randomness",
    "leaked_tensors",
    "python_state",
)
"""The checks whose failure makes the graph another function than eager mode."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same thing seen in eager mode and in another one."""

    label: str
    eager: Any
    other: Any


def pairs(subject: Subject) -> Iterator[Pair]:
    """Pairs of `Observation`: eager with graph and XLA, in inference and training.

    Raises:
        Failure: The layer cannot be called in a mode.
        Skip: No mode could be compared with eager mode in inference, or none in training.
    """
    for training in (False, True):
        compared = False
        # Eager mode first: what fails there is not the graph's fault.
        eager = subject.observe("eager", training)
        draws = subject.random_ops(training)
        for mode in ("graph", "xla"):
            reason = (
                draws.why_not(mode)
                or subject.why_not_repeated(training)
                or subject.why_not_run(subject.observe, mode, training)
            )
            if reason:
                subject.tally.left_out[f"{mode}, training={training}"] = reason
                continue
            compared = True
            yield Pair(f"{mode}, training={training}", eager, subject.observe(mode, training))
        _require(subject, compared, training)


def fit_pairs(subject: Subject) -> Iterator[Pair]:
    """Pairs of `FitObservation`: eager with graph and XLA.

    Where draws differ by mode, the layer is called with `training=False` inside `fit`.

    Raises:
        Failure: The layer cannot be trained in a mode.
        Skip: In no mode could it be trained with `training=True`.
    """
    compared = False
    for mode in ("graph", "xla"):
        for training in (True, False):
            label = f"fit, {mode}" + ("" if training else ", layer called as in inference")
            subject.observe("eager", training)
            draws = subject.random_ops(training)
            reason = (
                draws.why_not(mode)
                or subject.why_not_repeated(training)
                or subject.why_not_run(subject.fit, mode, training)
            )
            if not reason:
                compared |= training
                yield Pair(label, subject.fit("eager", training), subject.fit(mode, training))
                break
            subject.tally.left_out[label] = reason
    _require(subject, compared, training=True)


def calls(subject: Subject) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each observed call: mode and number, and what it gave in eager mode and in that mode."""
    for pair in pairs(subject):
        both = zip(pair.eager.calls, pair.other.calls, strict=True)
        for number, (expected, actual) in enumerate(both, start=1):
            yield f"{pair.label}, call {number}", expected, actual


def compare_calls(subject: Subject, key: str, hint: str) -> None:
    """Compares one entry of every observed call, in every pair of modes.

    Args:
        subject: The subject of the check.
        key: The entry of `Observation.calls`.
        hint: For the `Failure`: likely cause and what to change.
    """
    for where, expected, actual in calls(subject):
        subject.compare(expected[key], actual[key], where, key, hint)


def _require(subject: Subject, compared: bool, training: bool) -> None:
    """Ends a check that has compared no mode with eager mode, so that it does not pass."""
    if not compared:
        reasons = "; ".join(dict.fromkeys(subject.tally.left_out.values()))
        raise Skip(f"nothing compared with training={training}: {reasons}")
