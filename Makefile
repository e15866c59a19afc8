# Two commands on a fresh machine: make demo, make test. Each makes .venv if there is none.
PYTHON ?= python3
BIN := .venv/bin
DEMO := sqlite:///demo.db

.PHONY: demo test test-all chaos bench bench-speed bench-engines bench-results lint types clean

demo: .venv/installed
	@rm -rf demo.db demo.db-wal demo.db-shm demo.db.checkpoints
	$(BIN)/attnas search --data synthetic --backbone resnet8 --recipe smoke --trials 18 --workers 2 --storage $(DEMO)
	@echo; echo "Best designs:"; $(BIN)/attnas results top -n 5 --storage $(DEMO)
	@echo; echo "Front of accuracy against MACs:"; $(BIN)/attnas results pareto --storage $(DEMO)
	@echo; echo "These are synthetic textures. What to type next:"
	@echo "  $(BIN)/attnas results query 'accuracy > 0.5 and params < 80000' --storage $(DEMO)"
	@echo "  $(BIN)/attnas train none se --recipe smoke --seeds 4 --backbone resnet8 --data synthetic --storage $(DEMO)"
	@echo "  $(BIN)/attnas results show se --storage $(DEMO)    # after the line above"
	@echo "  $(BIN)/attnas space show fca-ts --plot fca-ts.png"
	@echo "  $(BIN)/attnas search --data cifar100 --backbone resnet20 --trials 200"
	@echo "  $(BIN)/attnas search --data folder:/path/to/images --backbone resnet8 --epochs 5 --trials 24"
	@echo "  $(BIN)/attnas retrain --from $(DEMO) --top 1 --baseline se,none --data /path/to/images --backbone resnet18 --recipe smoke"
	@echo "  $(BIN)/attnas cost fca-ts --backbone resnet50 --image-size 224 --classes 1000"

# two processes of one thread: more threads than cores that wait for each other slow everything down
test: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-all: .venv/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m ''

# Some minutes a backend: kills a search 50 times and more on SQLite, PostgreSQL and Ray; `make test` does it 6 times.
chaos: .venv/installed-test
	cd tests && ../$(BIN)/python -m chaos

bench: bench-speed bench-engines bench-results

# Some 3 hours of two quiet cores: trials, loop, attention and squeezes beside what is written plainly today; writes
# benchmarks/speed.md. `$(BIN)/python -m benchmarks.speed few` does a part.
bench-speed: .venv/installed-test
	$(BIN)/python -m benchmarks.speed

# Some 18 minutes of two quiet cores: beside plain Optuna and Ray Tune. Writes benchmarks/engines.md.
bench-engines: .venv/installed-test
	$(BIN)/python -m benchmarks.engines

# Some 3 minutes: questions to 100,000 rows. Writes benchmarks/results.md.
bench-results: .venv/installed-test
	$(BIN)/python -m benchmarks.results

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-test
	$(BIN)/mypy

clean:
	rm -rf .venv demo.db demo.db-wal demo.db-shm demo.db.checkpoints

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "attnas needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

.venv/installed-test: .venv/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch .venv/installed $@
