# The task runner. Every verb first installs its dependencies into .venv, which takes time only once.

PYTHON ?= python3
ARGS ?=
HOST ?=
export HOST
BIN := .venv/bin
DOCS ?= .cache/docs

.DEFAULT_GOAL := help
.PHONY: help install serve capacity loadtest stack dashboards preview test mutants lint docs bench soak cluster-demo

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Give options in ARGS and your own server in HOST: make capacity HOST=ws://10.0.0.5:8080 ARGS="--window 10"'
	@echo 'make ends with 2 after any failure; for exit codes run $(BIN)/python -m capacity or $(BIN)/locust -f loadtest'

install: .venv/installed ## create .venv with all dependencies

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'stampede needs Python 3.11 or later; name one with PYTHON=' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.platform != "linux")' || { echo 'stampede runs only on Linux; on other systems use a Linux container or a virtual machine' >&2; exit 2; }
	@.ci/system-packages python3-venv
	@echo 'installing into .venv (once)'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[server,capacity]' --group dev
	@touch $@

serve: install ## run the chat server: http://127.0.0.1:8080
	@exec $(BIN)/python -m server $(ARGS)

capacity: install ## find how many users one server process serves, and the bottleneck
	@exec $(BIN)/python -m capacity $${HOST:+--host "$$HOST"} $(ARGS)

loadtest: install ## run Locust's web UI at http://127.0.0.1:8089 against HOST, or against a new server
	@set -eu; host="$$HOST"; \
	if [ -z "$$host" ]; then \
	  first=$$(mktemp); $(BIN)/python -m server --port 0 --log-level warning > "$$first" & server=$$!; \
	  trap 'kill $$server 2>/dev/null; wait $$server 2>/dev/null; rm -f "$$first"' EXIT; trap 'exit 130' INT TERM; \
	  while ! grep -q ws:// "$$first"; do kill -0 $$server; sleep 0.1; done; \
	  host=$$(grep -o 'ws://[^ ]*' "$$first"); cat "$$first"; \
	fi; \
	$(BIN)/locust -f loadtest --web-host 127.0.0.1 --host "$$host" $(ARGS)

stack: install ## run the server, Prometheus, Locust's web UI and, if it is installed, Grafana until Ctrl-C
	@.ci/system-packages prometheus
	@exec $(BIN)/python -m deploy.stack $(ARGS)

dashboards: install ## build the Grafana dashboards from code
	@$(BIN)/python -m grafana.build

preview: install ## draw the dashboards from a recorded run, without Grafana
	@.ci/system-packages prometheus
	@$(BIN)/python -m tests.grafana.preview

test: install ## run all tests
	@.ci/system-packages prometheus promtool amtool docker-compose node npm nginx haproxy dnsmasq ip chromium rabbitmq-server mosquitto puma cc
	@$(BIN)/python -m pytest --numprocesses 6 --dist worksteal $(ARGS)

mutants: install ## run mutation tests of the pure modules, about an hour; a part: ARGS="server.chat.room*"
	@$(BIN)/python -m tests.mutants $(ARGS)

lint: install ## run ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff .; exit 1; }
	@$(BIN)/mypy

docs: install ## build the documentation site: .cache/docs/index.html
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --doctree-dir $(DOCS)-doctrees docs $(DOCS)
	@echo 'the documentation is in $(DOCS)/index.html'

bench: install ## compare with other servers, about 20 minutes; a part: ARGS="--workloads big --servers bun"
	@.ci/system-packages node npm
	@$(BIN)/python -m benchmarks $(ARGS)

soak: install ## run ten minutes of mixed load and check for growth; another duration: ARGS="--seconds 3600"
	@$(BIN)/python -m tests.promises.soak $(ARGS)

cluster-demo: install ## run two servers, NATS, HAProxy, Prometheus, a load test and a capacity run on separate hosts
	@.ci/system-packages haproxy prometheus ip
	@$(BIN)/python -m tests.promises.cluster_demo $(ARGS)
