"""Configs, files, and what comes back from them."""
