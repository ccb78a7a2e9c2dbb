"""What is written down of one step."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Call:
    """One outermost call of the model.

    Args:
        training: Its `training` argument.
        inputs: The tensors among its arguments.
        outputs: What it returned, in a flat list.
        masks: For each output the Keras mask that is attached to it, or `None`.
    """

    training: bool | None
    inputs: list[np.ndarray]
    outputs: list[Any]
    masks: list[np.ndarray | None]


@dataclasses.dataclass
class Step:
    """What one step of training, or one run of `evaluate` or `predict`, did.

    Args:
        rows: The number of samples in the batch, where the model was called.
        calls: Each outermost call of the model.
        losses: Results of the loss objects that were called, one number each.
        computed: What `compute_loss` returned.
        targets: What gradients were taken of, where that is one number.
        added: The sum of `model.losses` when the first gradient was taken.
        updates: Name of the variable and gradient of each update by an optimizer.
        by_rows: Shapes of the variables whose gradients are rows, as those of an `Embedding`.
        clipped: What went into TensorFlow's clipping functions, and what came out.
    """

    rows: int | None = None
    calls: list[Call] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)
    computed: list[float] = dataclasses.field(default_factory=list)
    targets: list[float] = dataclasses.field(default_factory=list)
    added: float | None = None
    updates: list[tuple[str, np.ndarray]] = dataclasses.field(default_factory=list)
    by_rows: set[tuple[int, ...]] = dataclasses.field(default_factory=set)
    clipped: list[tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=list)
