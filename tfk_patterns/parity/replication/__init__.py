"""The same step on one device and on two."""
