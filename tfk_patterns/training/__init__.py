"""The explicit training loop, from one process to many machines."""

from tfk_patterns.training._agreement import WorkerLostError
from tfk_patterns.training.connecting import connect_workers
from tfk_patterns.training.training_loop import TrainingLoop

__all__ = ["TrainingLoop", "WorkerLostError", "connect_workers"]
