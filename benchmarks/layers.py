"""How fast the layers are: their time as a ratio to that of what one would take instead.

Run it on an idle machine: `python benchmarks/layers.py [--only NAME] [--json FILE]`. TensorFlow
has one thread. What a call costs apart from its work is in both times, so the ratio of a small
size says less about the layer.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

from comparisons import jobs
from rows import main

if __name__ == "__main__":
    main(__doc__, jobs())
