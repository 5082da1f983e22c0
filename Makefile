# For a fresh clone: `make demo` runs the whole method on synthetic people, `make test` the tests, `make test-slow` those
# that run the pipeline or a browser.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

PYTEST = pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-slow check clean

demo: .venv/installed
	dvc repro
	@echo
	@hcga figures
	@echo
	@echo "Per cent; 'hcga figures --help' explains the rows. Where to look next, after  . .venv/bin/activate"
	@echo "  data/report/index.html             all rounds on one page: figures, curves, masks, retrieval"
	@echo "  hcga view                          every identity and query in the browser, any revision beside another"
	@echo "  data/masks/r1.png r2.png r3.png    what co-parsing made of each round"
	@echo "  hcga masks draw --round r3 --pid 12   one identity: images, labels, masks, truth (training pids are even here)"
	@echo "  dvc plots show                     curves, CMC and contact sheets on one page"
	@echo "  params.yaml                        change a line, run dvc repro again"

test: .venv/installed
	$(PYTEST)

test-slow: .venv/installed
	$(PYTEST) -m slow

check: .venv/installed
	pip install --quiet --disable-pip-version-check --editable '.[dev]'
	ruff check .
	ruff format --check .
	mypy

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
