"""Advanced tf.keras layers and models that behave the same in every execution mode."""

from tfk_patterns import layers, models, parity, training

__version__ = "0.1.0"

__all__ = ["__version__", "layers", "models", "parity", "training"]
