# Each target needs only python3 (3.10 to 3.13) and make, and does everything else itself: it makes
# .venv, puts the pinned requirements into it, and leaves it alone as long as they do not change.
# Another Python: make test PYTHON=python3.12. More for pytest: make test ARGS="-k loop -x".

PYTHON ?= python3
ARGS ?=

VENV_PYTHON := .venv/bin/python
MAKE_VENV := $(PYTHON) .ci/make_venv.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint format page docs clean

help:
	@echo "make demo    stylize the pictures in samples/ into demo_output/"
	@echo "make test    run the tests (ARGS=... goes to pytest)"
	@echo "make lint    check style and types: ruff, mypy, the docs and the Dockerfiles"
	@echo "make format  put the code into the house's form: ruff"
	@echo "make page    build the page of 'anime-tf web' (needs Node.js 20.19 or later)"
	@echo "make docs    build the docs site into site/, with the demo page if it is built"
	@echo "make clean   remove .venv, demo_output and caches; runs/ stays"
	@echo "PYTHON=python3.12 picks the interpreter (3.10 to 3.13; now $(PYTHON))"

demo:
	@$(MAKE_VENV) requirements.txt
	$(VENV_PYTHON) infer.py samples demo_output
	@echo "The stylized pictures are in $(CURDIR)/demo_output"

test:
	@$(MAKE_VENV) requirements-dev.txt
	@# In a few processes, a file in one piece; each has a TensorFlow of its own, 1 to 2 GB.
	$(VENV_PYTHON) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --durations=20 $(ARGS)

lint:
	@$(MAKE_VENV) requirements-dev.txt
	@# All speak, whatever the first ones find. mkdocs is strict: a broken link fails.
	@failed=0; \
	for check in "python -m ruff check ." "python -m ruff format --check ." "python -m mypy" \
		"python -m mkdocs build --quiet --site-dir=build/site" "hadolint deploy/docker/Dockerfile*"; do \
		echo "$$check"; \
		PATH="$(CURDIR)/.venv/bin:$$PATH" NO_MKDOCS_2_WARNING=1 $$check || failed=1; \
	done; \
	exit $$failed

format:
	@$(MAKE_VENV) requirements-dev.txt
	$(VENV_PYTHON) -m ruff check --fix --exit-zero .
	$(VENV_PYTHON) -m ruff format .

# The static form needs models, too: docs/web.md.
page:
	cd deploy/web && npm ci --no-audit --no-fund && npm run build
	rm -rf anime_tf/web/dist && cp -r deploy/web/dist anime_tf/web/dist
	rm -rf anime_tf/web/dist/models anime_tf/web/dist/runtime

# The demo page runs in the browser; docs/tutorials/browser.md tells how to build it.
docs:
	@$(MAKE_VENV) requirements-dev.txt
	NO_MKDOCS_2_WARNING=1 $(VENV_PYTHON) -m mkdocs build
	@if [ -d deploy/web/dist/models ]; then cp -r deploy/web/dist site/demo; fi
	@echo "The site is in $(CURDIR)/site"

clean:
	rm -rf .venv demo_output build dist site *.egg-info anime_tf/web/dist deploy/web/dist deploy/web/node_modules .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
