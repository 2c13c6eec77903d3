# Each target needs only python3 (3.10 to 3.13) and make, and does everything else itself: it makes
# .venv, puts the pinned requirements into it, and leaves it alone as long as they do not change.
# Another Python: make test PYTHON=python3.12. More for pytest: make test ARGS="-k loop -x".

PYTHON ?= python3
ARGS ?=

VENV_PYTHON := .venv/bin/python
MAKE_VENV := $(PYTHON) .ci/make_venv.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint format page clean

help:
	@echo "make demo    stylize the pictures in samples/ into demo_output/"
	@echo "make test    run the tests (ARGS=... goes to pytest)"
	@echo "make lint    check style and types: ruff and mypy"
	@echo "make format  put the code into the house's form: ruff"
	@echo "make page    build the page of 'anime-tf web' (needs Node.js 20.19 or later)"
	@echo "make clean   remove .venv, demo_output and caches; runs/ stays"
	@echo "PYTHON=python3.12 picks the interpreter (3.10 to 3.13; now $(PYTHON))"

demo:
	@$(MAKE_VENV) requirements.txt
	$(VENV_PYTHON) infer.py samples demo_output
	@echo "The stylized pictures are in $(CURDIR)/demo_output"

test:
	@$(MAKE_VENV) requirements-dev.txt
	@# In a few processes, a file in one piece; each has a TensorFlow of its own, 1 to 2 GB.
	$(VENV_PYTHON) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(ARGS)

lint:
	@$(MAKE_VENV) requirements-dev.txt
	@# All three speak, whatever the first ones find.
	@failed=0; \
	for check in "ruff check ." "ruff format --check ." "mypy"; do \
		echo "$(VENV_PYTHON) -m $$check"; \
		$(VENV_PYTHON) -m $$check || failed=1; \
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

clean:
	rm -rf .venv demo_output build dist *.egg-info anime_tf/web/dist deploy/web/dist deploy/web/node_modules .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
