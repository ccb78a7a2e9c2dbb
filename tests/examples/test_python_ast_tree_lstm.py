"""The example of the hidden comparison."""

import ast

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("python_ast_tree_lstm")]


def test_the_tree_tells_more_than_its_nodes(example, figures):
    accuracy = figures["accuracy"]
    assert figures["modules"] > 100
    assert accuracy[example.TREE] > accuracy[example.ALL_NODES] + 0.03
    assert accuracy[example.TREE] > accuracy[example.BELOW] + 0.03
    assert accuracy[example.ALL_NODES] > figures["majority"] + 0.05


def test_both_ways_give_the_same_and_one_is_faster(figures):
    fast, slow = figures["ways"]["seconds"]
    assert figures["ways"]["difference"] < 1e-4
    assert fast < slow / 10


def test_it_writes_its_picture(figures, output):
    assert {path.name for path in output.iterdir()} == {"python_ast_tree_lstm.png"}


def test_the_tree_around_a_comparison(example, tmp_path):
    path = tmp_path / "module.py"
    path.write_text("if x is None and y:\n    x = [1]\n")
    ((nodes, operator, node),) = example.comparisons(path)
    assert (operator, ast.unparse(node)) == ("Is", "x is None")
    assert nodes == [
        ("Compare", "root", "", -1),
        ("Name", "left", "x", 0),
        ("Constant", "comparators", "None", 0),
        ("^BoolOp", "values", "", 0),
        ("And", "op", "", 3),
        ("Name", "values", "y", 3),
        ("^If", "test", "", 3),
        ("Assign", "body", "", 6),
        ("Name", "targets", "x", 7),
        ("List", "value", "", 7),
        ("Constant", "elts", "1", 9),
    ]


def test_a_bag_of_the_nodes_below_has_no_others(example, tmp_path):
    path = tmp_path / "module.py"
    path.write_text("if x is None and y:\n    x = [1]\n")
    samples = example.comparisons(path)
    vocabularies = [example.Vocabulary([]) for _ in range(3)]
    arrays, _ = example.encode(samples, vocabularies)
    below = example.only_below(arrays, samples)
    assert below["kinds"].tolist() == [[1, 1, 1] + 8 * [0]]
