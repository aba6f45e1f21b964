# Each target sets the environment up by itself when it is missing or out of date.
# Any Python from 3.11 on: make test PYTHON=python3.13
PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed-$(notdir $(PYTHON))

export RAY_USAGE_STATS_ENABLED := 0
export HF_HUB_OFFLINE := 1
# Every Ray worker is a new process that imports the packages: they are compiled once, not each time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo demo-sine test lint chaos fuzz notebook clean

demo: $(INSTALLED)
	$(BIN)/ipseg demo --out demo-out

# Trains a small SINE for a few minutes on generated scenes, then segments unseen ones.
demo-sine: $(INSTALLED)-all
	$(BIN)/ipseg demo --method sine --out demo-sine-out

# Three workers on two cores: one of them waits for Ray and other processes half of its time.
test: lint
	$(BIN)/pytest -n 3 --no-loadscope-reorder

lint: $(INSTALLED)-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Kills, full disks and failing storage at random moments; about ten minutes. `make test` has a few.
chaos: $(INSTALLED)-all
	$(BIN)/python tests/chaos/run.py

# Damaged images, masks, tars, Parquet files, lists and annotations; at most ten minutes.
fuzz: $(INSTALLED)-all
	$(BIN)/python tests/fuzz/fuzz.py

# Runs docs/notebook.ipynb again and keeps what it displays.
notebook: $(INSTALLED)-all
	$(BIN)/jupyter execute --NotebookClient.record_timing=False --inplace docs/notebook.ipynb

clean:
	rm -rf .venv demo-out demo-sine-out

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/$(notdir $(PYTHON)) || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --constraint constraints.txt pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The learned models (about 5 GB) and the tools, which the demo does not need.
$(INSTALLED)-all: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev --editable ".[models,review,train]"
	touch $@
