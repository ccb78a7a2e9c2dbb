"""Masks, padding, and what they do."""
