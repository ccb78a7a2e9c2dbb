"""Gradients by other ways, special values, and layers of other dtypes."""
