"""What `python -m tfk_patterns` can do, one command a file."""
