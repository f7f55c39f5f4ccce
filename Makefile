# `make` alone prints help. Every target sets up .venv from nothing when it has to;
# all it needs is python3 (3.11 or newer), make and a package index.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
# The frameworks that the drop-in is tried in have an environment of their own: they are large.
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.stamp
# More arguments for pytest: `make test ARGS="-k cosine -x"`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo quickstart test slow conformance table lint format docs wheel bench clean distclean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv with everything in it

$(STAMP): GROUP := dev
$(PEERS_STAMP): GROUP := peers
$(PEERS_STAMP): tests/conformance/fetch.py
# References for the dialects: three packages without their dependencies, and single files of others.
$(PEERS_STAMP): AFTER = $(@D)/bin/python -m pip install -qq --retries 5 --no-deps --group peers-bare && \
	$(@D)/bin/python tests/conformance/fetch.py
# The stamp is written last: a set-up that was interrupted starts again.
$(STAMP) $(PEERS_STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cadence needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Setting up $(@D) (about two minutes the first time)"
	@$(PYTHON) -m venv $(@D)
	@# `--group` needs pip 25.1; -qq leaves only errors to print.
	@$(@D)/bin/python -m pip install -qq --retries 5 --upgrade 'pip>=25.1'
	@$(@D)/bin/python -m pip install -qq --retries 5 -c constraints.txt -e . --group $(GROUP)
	@$(AFTER)
	@touch $@

demo: $(STAMP) ## compare four schedules on a small transformer: a verdict, evidence/*/report.html
	$(PY) examples/compare.py

quickstart: $(STAMP) ## train under a schedule, stop, resume, draw quickstart.png
	$(PY) examples/quickstart.py

test: $(STAMP) ## run the tests, but for the slow ones, on all cores (one: ARGS="-n 0")
	$(PY) -m pytest -n auto --dist worksteal $(ARGS)

slow: $(STAMP) ## run the slow tests
	$(PY) -m pytest -n auto --dist worksteal -m slow $(ARGS)

conformance: $(PEERS_STAMP) ## run the drop-in within frameworks, and the dialects beside their libraries
	$(PEERS)/bin/python -m pytest -n auto --dist worksteal tests/conformance -m peers $(ARGS)

table: $(PEERS_STAMP) ## measure how exactly the dialects are read: docs/dialects-table.md
	CADENCE_TABLE=docs/dialects-table.md $(PEERS)/bin/python -m pytest -m peers $(ARGS) \
		$$(grep -l "^from table import" tests/conformance/test_*.py)

lint: $(STAMP) ## ruff check, ruff format --check, pyright
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

format: $(STAMP) ## let ruff fix and format what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(STAMP) ## build docs/_build/html; a warning is an error, so is a reference to another host
	$(PY) -m sphinx -n -W --keep-going -E -q -b html docs docs/_build/html
	$(PY) docs/check_offline.py docs/_build/html

wheel: $(STAMP) ## build the wheel and try it in a fresh environment, outside the tree
	rm -rf dist
	$(PY) -m build --wheel --outdir dist
	@set -eu; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; \
	cp tests/smoke_wheel.py "$$away"; \
	$(PYTHON) -m venv "$$away/venv"; \
	"$$away/venv/bin/python" -m pip install -qq --retries 5 -c constraints.txt dist/*.whl; \
	cd "$$away"; venv/bin/python -I smoke_wheel.py

bench: $(STAMP) ## time the engine against torch and against the bare loop
	$(PY) bench/step_cost.py
	$(PY) bench/drop_in.py
	$(PY) bench/captured.py
	$(PY) bench/forecast.py

clean: ## remove what was built; the environments stay
	rm -rf build dist docs/_build .pytest_cache .ruff_cache .hypothesis quickstart.png evidence
	find src tests examples bench docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environments as well
	rm -rf $(VENV) $(PEERS)
