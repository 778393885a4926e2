# Everything a newcomer types. `make` alone explains itself.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FUZZ_VENV := .venv-fuzz
FUZZ_INSTALLED := $(FUZZ_VENV)/.installed
AUDIT_VENV := .venv-audit
AUDIT_INSTALLED := $(AUDIT_VENV)/.installed
# As in the image.
IMAGE_VENV := .venv-image
IMAGE_INSTALLED := $(IMAGE_VENV)/.installed
SBOM := cf-processes.cdx.json

QUICK_API := $(addprefix tests/api/test_,bodies.py metadata_body.py presenters.py document_limits.py resource_frame.py)

.DEFAULT_GOAL := help
.PHONY: help run test quick lint bench soak fuzz sbom audit format clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(INSTALLED) ## serve the API over a real local control plane and Postgres, with a demo (PORT=8080)
	@exec $(BIN)/python -m deploy.local run

test: lint ## run the whole suite against the real parts
	@bash .ci/tools
	@# Before the tests, which have time limits: the first build takes minutes.
	$(BIN)/python -m deploy.local build
	$(BIN)/python -m pytest

quick: lint ## run the tests that need neither a cluster nor a database
	$(BIN)/python -m pytest tests/model tests/metrics tests/test_settings.py tests/test_docs.py tests/test_structure.py $(QUICK_API)

lint: $(INSTALLED) ## check style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy service tests deploy/local
	$(BIN)/lint-imports

bench: $(INSTALLED) ## measure against kube-apiserver and a bare handler, and print the table (needs wrk)
	$(BIN)/python -m tests.bench

soak: $(INSTALLED) ## break everything under three replicas for SOAK_S=600 seconds, and check that nothing is lost
	$(BIN)/python -m tests.soak

fuzz: $(INSTALLED) $(FUZZ_INSTALLED) ## ask a service of its own whatever the API's document allows, and what it does not
	$(BIN)/python -m tests.fuzz

sbom: $(IMAGE_INSTALLED) $(AUDIT_INSTALLED) ## write what the image contains to cf-processes.cdx.json (CycloneDX)
	@$(AUDIT_VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
	  --output-format JSON --output-file $(SBOM) $(IMAGE_VENV)/bin/python
	@echo "$(SBOM): $$(grep -c '"purl"' $(SBOM)) packages"

audit: $(IMAGE_INSTALLED) $(AUDIT_INSTALLED) ## ask PyPI whether anything that the image contains has a known flaw
	@$(AUDIT_VENV)/bin/pip-audit --strict --skip-editable --path "$$($(IMAGE_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || \
	  { echo "a flaw is known, or not everything could be asked about: see above (a mirror has packages, and no advisories)" >&2; exit 1; }

format: $(INSTALLED) ## put the code into the style that lint checks
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what the other targets made here (caches of the control plane's programs stay)
	rm -rf $(VENV) .venv-newest $(FUZZ_VENV) $(AUDIT_VENV) $(IMAGE_VENV) $(SBOM) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(INSTALLED): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer with its venv module is needed: install it (Debian: apt-get install python3-venv), or name it with PYTHON=…" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the Python packages into $(VENV): once, about a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt --editable '.[dev]'
	@touch $@

# Of its own, for schemathesis must not choose the versions of what the service and the other tests run with.
$(FUZZ_INSTALLED): deploy/fuzz-constraints.txt | $(INSTALLED)
	@test -x $(FUZZ_VENV)/bin/python || $(PYTHON) -m venv $(FUZZ_VENV)
	@echo "installing schemathesis into $(FUZZ_VENV)"
	@$(FUZZ_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint deploy/fuzz-constraints.txt schemathesis
	@touch $@

# Of their own, for the tools must not choose the versions of what they look at.
$(AUDIT_INSTALLED): deploy/audit-constraints.txt | $(INSTALLED)
	@test -x $(AUDIT_VENV)/bin/python || $(PYTHON) -m venv $(AUDIT_VENV)
	@echo "installing cyclonedx-py and pip-audit into $(AUDIT_VENV)"
	@$(AUDIT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint deploy/audit-constraints.txt cyclonedx-bom pip-audit
	@touch $@

$(IMAGE_INSTALLED): pyproject.toml deploy/constraints.txt | $(INSTALLED)
	@rm -rf $(IMAGE_VENV)
	@$(PYTHON) -m venv --without-pip $(IMAGE_VENV)
	@echo "installing what the image contains into $(IMAGE_VENV)"
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > $(IMAGE_VENV)/requirements
	@$(BIN)/python -m pip --python $(IMAGE_VENV)/bin/python install --quiet --disable-pip-version-check --only-binary :all: --constraint deploy/constraints.txt --requirement $(IMAGE_VENV)/requirements
	@touch $@
