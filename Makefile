# make demo, make test: all the set-up there is. Everything is installed into .venv under constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# No model is ever fetched: the embedding model is carried by a package, the reader lies in the repository.
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false
# Threads that wait let others have the core: tests run in several processes, each with threads of its own.
export OMP_WAIT_POLICY = PASSIVE
# Without it the heaps of all the threads that tests start and end keep what they once held.
export MALLOC_ARENA_MAX = 2
PROCESSES := -n auto --maxprocesses 4 --dist worksteal

.PHONY: help install programs demo test coverage check format serve clean

help:
	@echo "make demo    install, ingest the sample handbook, ask, show answers and the logged rows"
	@echo "make test    install what the tests need, Chromium, Redis and Compose by apt among it, and run them"
	@echo "make coverage the same, and which lines no test runs"
	@echo "make check   linters, type checker, floors"
	@echo "make serve   the API with its page on http://127.0.0.1:8000"

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[postgres,redis]' --group dev
	touch $@

demo: install
	RAG_DATA_DIR=demo-data $(BIN)/rag db upgrade
	@# 3: finished, but some files were refused. The handbook holds a damaged PDF on purpose.
	RAG_DATA_DIR=demo-data $(BIN)/rag ingest examples/handbook || test $$? -eq 3
	RAG_DATA_DIR=demo-data $(BIN)/python examples/demo.py

# The tests of the pages drive a real browser, those of what processes share a real Redis server: the system's own. Without
# one these tests fail; the others run all the same. Debian's redis-tools holds the server's program, and starts none.
programs:
	@wanted=; \
	command -v redis-server >/dev/null || command -v redis-check-rdb >/dev/null || wanted=redis-tools; \
	for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		command -v $$name >/dev/null && found=1; \
	done; \
	test -n "$$found" || wanted="$$wanted chromium"; \
	docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || wanted="$$wanted docker-compose"; \
	test -n "$$wanted" || exit 0; \
	if [ "$$(id -u)" = 0 ]; then as_root=; elif command -v sudo >/dev/null; then as_root=sudo; else as_root=false; fi; \
	echo "Installing what the tests need: $$wanted"; \
	$$as_root apt-get update -qq && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$wanted || \
	echo "$$wanted could not be installed (apt-get as root, or with sudo); install it, or the tests that need it fail."

test: install programs
	$(BIN)/python -m pytest $(PROCESSES)

# Apart, because watching every line makes the tests take a third longer.
coverage: install programs
	$(BIN)/python -m pytest $(PROCESSES) --cov=rag --cov-report=term --cov-fail-under=90

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

serve: install
	$(BIN)/rag db upgrade
	$(BIN)/rag serve

clean:
	rm -rf .venv demo-data build dist
