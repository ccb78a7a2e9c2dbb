"""Models saved by every release, one file a Keras generation; they must load for ever."""
