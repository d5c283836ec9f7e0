# Every verb of the project; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
COLLECTIONS := .cache/collections
STAMPS := $(VENV)/.stamps

.PHONY: help env test-env demo demo-down test unit sanity integration scenarios awx eda ee molecule playbooks runner test-vllm lint docs-lint docs release-check format lock build clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMPS)/demo ## build .venv and the collection path; the rest of the machine is left alone

test-env: $(STAMPS)/test

$(STAMPS)/demo: requirements/demo.lock tests/tools/make_env
	@tests/tools/make_env $(VENV) requirements/demo.lock && touch $@

$(STAMPS)/test: requirements/test.lock tests/tools/make_env
	@tests/tools/make_env $(VENV) requirements/test.lock && tests/tools/install_torch $(VENV) && touch $@ $(STAMPS)/demo

demo: env ## plan, serve and scale out a small local fleet of real llama.cpp servers
	@inventories/demo/demo up

demo-down: ## stop and remove what the demo started
	@inventories/demo/demo down

test: test-env ## everything CI runs: lint, docs, unit tests, sanity, integration
	@$(BIN)/python tests/tools/run_all.py

unit: test-env ## unit and property tests
	@$(BIN)/python -m pytest tests/unit -n 2 -q

sanity: test-env ## ansible-test sanity on a copy of the collection; CORE=2.18 takes another series of ansible-core (network)
	@tests/tools/run_sanity $(if $(CORE),--core $(CORE))

integration: test-env ## real module and playbook runs against real servers
	@$(BIN)/python -m pytest tests/integration -q -n 2 --dist loadfile --no-loadscope-reorder -m "not long"

scenarios: test-env ## the integration tests that take minutes each, which make test leaves out
	@$(BIN)/python -m pytest tests/integration -q -m long

test-vllm: test-env ## a real vLLM on CPU behind the deploy role (minutes, 1.5 GB; not part of make test)
	@tests/tools/run_vllm

eda: test-env ## a real ansible-rulebook under a flood of alerts (Java 17, Alertmanager; minutes)
	@tests/tools/run_eda

awx: test-env ## the requests of awx_setup by awx.awx's own modules, against a stand-in for a controller (network)
	@tests/tools/run_awx

ee: test-env ## the execution environment's context, its locked packages in an empty environment, a plan made with them (network)
	@tests/tools/run_ee

runner: test-env ## every playbook of the demo's fleet through ansible-runner, run and transmit | worker | process
	@$(BIN)/python -m pytest tests/runner -q --durations=10

molecule: test-env ## the roles from bare systemd hosts on, with Molecule (root, podman)
	@tests/tools/run_molecule

playbooks: test-env ## every playbook on a live lab: check mode and a second run change nothing (root, podman)
	@$(BIN)/python -m pytest tests/lab -q --durations=10

lint: test-env ## ruff, mypy, yamllint, ansible-lint (profile production)
	@tests/tools/run_lint

docs-lint: test-env ## ansible-doc, antsibull-docs, changelog
	@tests/tools/run_docs_lint

docs: test-env ## the documentation site in .cache/docs/html: guides, a page a role and plugin; no warning allowed
	@tests/tools/build_docs

release-check: test-env ## the tarball through galaxy-importer, and the quick start from it with the repository gone (network; minutes)
	@tests/tools/run_release_check

format: test-env ## let ruff format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: ## resolve the lock files again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade requirements/demo.in -o requirements/demo.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade -c requirements/demo.lock requirements/test.in -o requirements/test.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade -c requirements/demo.lock ee/requirements.in -o ee/requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade requirements/release.in -o requirements/release.lock

build: env ## build the collection tarball into build/
	@$(BIN)/ansible-galaxy collection build --force --output-path build

clean: demo-down ## remove the environment and everything generated
	rm -rf $(VENV) .cache build tests/output modelops-output
