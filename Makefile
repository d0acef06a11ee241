# Two commands matter: `make serve` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Every package that is installed, with version and hashes: for all, for the kit alone (action.yml), and for the mock
# alone (Dockerfile, mock/action.yml).
LOCK := requirements/dev.txt
KIT_LOCK := requirements/conformance.txt
MOCK_LOCK := requirements/mock.txt
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
URL := http://127.0.0.1:3000
COMPILE := $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --group build --no-annotate --custom-compile-command 'make lock'

# Some machines set it, and then each of the many processes that tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install serve conformance test proof mutation lint docs bench soak stacks lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# A checkout has no hash, so it is installed apart from what it needs. No isolation: that would fetch a build system
# that is not locked.
$(STAMP): pyproject.toml $(LOCK)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --requirement $(LOCK)
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) ## create .venv with everything in it

serve: $(STAMP) ## run the mock at http://127.0.0.1:3000 (ARGS="--port 0")
	@exec $(BIN)/vorel-mock serve $(ARGS)

conformance: $(STAMP) ## certify the mock that `make serve` runs, or URL=..., and write conformance-report.html
	$(BIN)/vorel-conformance server $(URL) --html conformance-report.html --json conformance-report.json $(ARGS)

test: $(STAMP) ## run the whole test suite (ARGS="-k limiter")
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

# The default suite proves each clause by one faulty server, in process where the wire is not the point.
proof: $(STAMP) ## the whole proof of the kit: every faulty and lenient server over real connections; takes hours
	FULL_PROOF=1 $(BIN)/python -m pytest -n auto --dist worksteal tests/conformance $(ARGS)

mutation: $(STAMP) ## change the reference server in one place at a time, and run the kit against each; ten minutes (ARGS="--sample 20")
	$(BIN)/python -m tests.conformance.mutation $(or $(ARGS),--write)

lint: $(STAMP) ## ruff, mypy --strict, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each is also a test, which fails if the page is behind.
docs: $(STAMP) ## write what docs/ has from the code: reference, tables of faults, events, CRM; pictures (needs chromium)
	for page in docs/test_reference_docs docs/test_event_docs docs/test_crm_docs api/test_faults docs/test_screenshots; do \
	  PYTHONPATH=. $(BIN)/python tests/$$page.py || exit 1; done

bench: $(STAMP) ## side by side with Prism and WireMock (needs wrk, node, java)
	$(BIN)/python -m bench $(ARGS)

soak: $(STAMP) ## 100,000 requests, most of them broken: no wrong status, flat memory (ARGS="--requests 10000")
	$(BIN)/python -m bench.hostile $(ARGS)

stacks: $(STAMP) ## certify usual HTTP stacks, and write docs/http-stacks.md (needs node, npm, curl, jq; ARGS="undici got")
	$(PIP) install --requirement bench/stacks/requirements.txt
	$(BIN)/python -m bench.stacks $(ARGS)

generators: $(STAMP) ## generate clients, call the mock with each, and write the table of the how-to (needs node, npm, java)
	$(PIP) install 'openapi-generator-cli>=7.26,<8' 'python-dateutil>=2.8'
	$(BIN)/python -m bench.generators $(ARGS)

# The wheel and the npm tarball are what a registry gets; nothing is uploaded.
dist: $(STAMP) ## build wheel, sdist and npm tarball into dist/ (needs node, npm)
	rm -rf dist
	$(BIN)/python -m hatchling build
	cd packages/npm && npm ci --silent --no-audit --no-fund && \
	  VOREL_MOCK_COMMAND=$(CURDIR)/$(BIN)/vorel-mock npm pack --silent --pack-destination $(CURDIR)/dist
	@ls -l dist

# Universal: one file for every system, and for Python 3.11 and newer. uv has a folder of its own.
lock: ## bring the locked versions in line with pyproject.toml (ARGS=--upgrade takes newer ones)
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	$(COMPILE) --extra dev $(ARGS) --output-file $(LOCK) pyproject.toml
	$(COMPILE) --extra conformance $(ARGS) --constraint $(LOCK) --output-file $(KIT_LOCK) pyproject.toml
	$(COMPILE) --extra redis $(ARGS) --constraint $(LOCK) --output-file $(MOCK_LOCK) pyproject.toml

clean: ## remove what the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .tox dist
