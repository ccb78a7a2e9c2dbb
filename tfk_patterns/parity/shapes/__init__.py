"""Sizes of axes: others than the case's, and unknown ones."""
