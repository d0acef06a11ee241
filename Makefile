# Two commands matter: `make serve` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
URL := http://127.0.0.1:3000

.PHONY: help install serve conformance test lint bench clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

install: $(STAMP) ## create .venv with everything in it

serve: $(STAMP) ## run the mock at http://127.0.0.1:3000 (ARGS="--port 0")
	@exec $(BIN)/vorel-mock serve $(ARGS)

conformance: $(STAMP) ## certify the mock that `make serve` runs, or URL=..., and write conformance-report.html
	$(BIN)/vorel-conformance server $(URL) --html conformance-report.html --json conformance-report.json $(ARGS)

test: $(STAMP) ## run the whole test suite (ARGS="-k limiter")
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(STAMP) ## ruff, mypy --strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## side by side with Prism and WireMock (needs wrk, node, java)
	$(BIN)/python -m bench $(ARGS)

clean: ## remove what the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .tox dist
