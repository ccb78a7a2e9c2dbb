"""Trees to measure on: syntax trees of the functions of Python's standard library, and chains."""

import ast
import itertools
import sysconfig
from pathlib import Path

import numpy as np

LEAST, MOST = 20, 200  # nodes


def syntax_trees():
    """Parents of the nodes of each function of that size, file after file, -1 at the root."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        try:
            module = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # written to be neither
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                parents = _parents(node)
                if LEAST <= len(parents) <= MOST:
                    yield parents


def _parents(root):
    parents, stack = [], [(root, -1)]
    while stack:
        node, parent = stack.pop()
        stack += [(child, len(parents)) for child in ast.iter_child_nodes(node)]
        parents.append(parent)
    return parents


def batch_of_trees(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Parents and mask of the first so many syntax trees, padded to one size."""
    trees = list(itertools.islice(syntax_trees(), count))
    mask = np.zeros((count, max(map(len, trees))), bool)
    parents = np.full(mask.shape, -1, "int32")
    for sample, tree in enumerate(trees):
        mask[sample, : len(tree)] = True
        parents[sample, : len(tree)] = tree
    return parents, mask


def chain(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Parents and mask of one tree as deep as it has nodes."""
    return np.arange(-1, nodes - 1, dtype="int32")[np.newaxis], np.ones((1, nodes), bool)
