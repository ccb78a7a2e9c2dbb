"""Each example runs once for all tests of it, its pictures into a folder of its own."""

import pytest

from tests.loading import load


@pytest.fixture(scope="module")
def example(request):
    """The example that the file of tests is named after."""
    name = request.module.__name__.rpartition(".test_")[2]
    return load(f"examples/{name}.py")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Where it writes."""
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def figures(example, output):
    """What its `main` returns."""
    example.OUTPUT = output
    return example.main()
