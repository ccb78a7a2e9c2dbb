# PYTHON=/path/to/python chooses the interpreter that environments are made with.
export PYTHON ?=
MAIN_PYTHONS = $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10 python)
FLOOR_PYTHONS = $(or $(PYTHON),python3.11 python3.10 python3 python)

MAIN = OLDEST=3.10 NEWEST=3.13 tools/environment.sh .venv
FLOOR = OLDEST=3.10 NEWEST=3.11 tools/environment.sh .venv-floor

# One case's checks share a worker, and each worker has one thread: two fill two cores.
export TF_NUM_INTRAOP_THREADS = 1
export TF_NUM_INTEROP_THREADS = 1
export OMP_NUM_THREADS = 1
export TF_CPP_MIN_LOG_LEVEL = 3
export MPLBACKEND = Agg
PYTEST = -m pytest -n 2 --dist loadgroup -q
BOTH_LEGS = status=0; \
	echo "== Keras 3 =="; TF_USE_LEGACY_KERAS=0 .venv/bin/python $(PYTEST) $(1) || status=1; \
	echo "== Keras 2 =="; TF_USE_LEGACY_KERAS=1 .venv/bin/python $(PYTEST) $(1) || status=1; \
	exit $$status

.PHONY: help demo test test-slow test-floor lint bench-tree-lstm clean

help:
	@echo "make demo        run the main example, from nothing"
	@echo "make test        run the tests, on Keras 3 and on Keras 2"
	@echo "make test-slow   run the long tests, on both"
	@echo "make test-floor  run the tests on TensorFlow 2.15.1"
	@echo "make lint        check style and format"
	@echo "make bench-tree-lstm"
	@echo "                 time TreeLSTM beside PyTorch, in an environment of its own"
	@echo "make clean       remove what these made"

demo:
	@$(MAIN) examples "$(MAIN_PYTHONS)"
	@env -u TF_NUM_INTRAOP_THREADS -u TF_NUM_INTEROP_THREADS -u OMP_NUM_THREADS \
		.venv/bin/python examples/quickstart.py

test:
	@$(MAIN) test,legacy,examples "$(MAIN_PYTHONS)"
	@$(call BOTH_LEGS,)

test-slow:
	@$(MAIN) test,legacy,examples "$(MAIN_PYTHONS)"
	@$(call BOTH_LEGS,-m slow)

test-floor:
	@$(FLOOR) test,examples "$(FLOOR_PYTHONS)" tensorflow==2.15.1
	@echo "== TensorFlow 2.15.1 =="; TF_USE_LEGACY_KERAS=0 .venv-floor/bin/python $(PYTEST)

lint:
	@$(MAIN) test,legacy,examples "$(MAIN_PYTHONS)"
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .

# The benchmark runs without PyTorch, and says so, where that cannot be installed.
TORCH = torch==2.13.0 pytorch-tree-lstm==0.1.3 numpy
TORCH_STAMP = .venv-torch/.torch-2.13.0
$(TORCH_STAMP):
	@echo "Making .venv-torch with $(TORCH); this takes some minutes."
	@rm -rf .venv-torch
	-@.venv/bin/python -m venv .venv-torch && .venv-torch/bin/python -m pip install --quiet \
		--disable-pip-version-check $(TORCH) && touch $@

bench-tree-lstm:
	@$(MAIN) test,legacy,examples "$(MAIN_PYTHONS)"
	@$(MAKE) --no-print-directory $(TORCH_STAMP)
	@.venv/bin/python benchmarks/tree_lstm.py

clean:
	rm -rf .venv .venv.partial .venv-floor .venv-floor.partial .venv-torch build dist *.egg-info \
		.pytest_cache .ruff_cache examples/output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
