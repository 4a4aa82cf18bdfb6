# One runner for everything. Every verb first installs what it needs into .venv; the second time that takes no time.

PYTHON ?= python3
ARGS ?=
HOST ?=
export HOST
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install serve capacity loadtest stack dashboards preview test mutants lint bench soak cluster-demo

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Options for what runs go into ARGS, a server of your own into HOST: make capacity HOST=ws://10.0.0.5:8080 ARGS="--window 10"'
	@echo 'make itself ends with 2 whatever failed; for exit codes run $(BIN)/python -m capacity or $(BIN)/locust -f loadtest'

install: .venv/installed ## make .venv with everything the other verbs need

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'stampede needs Python 3.11 or later; name one with PYTHON=' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.platform != "linux")' || { echo 'stampede runs on Linux; elsewhere use a Linux container or a virtual machine' >&2; exit 2; }
	@.ci/system-packages python3-venv
	@echo 'installing into .venv (once)'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@touch $@

serve: install ## the chat server on its own: http://127.0.0.1:8080
	@exec $(BIN)/python -m server $(ARGS)

capacity: install ## how many users one server process holds here, and what gives out first
	@exec $(BIN)/python -m capacity $${HOST:+--host "$$HOST"} $(ARGS)

loadtest: install ## Locust's web UI at http://127.0.0.1:8089 against HOST, or against a server started for it
	@set -eu; host="$$HOST"; \
	if [ -z "$$host" ]; then \
	  first=$$(mktemp); $(BIN)/python -m server --port 0 --log-level warning > "$$first" & server=$$!; \
	  trap 'kill $$server 2>/dev/null; wait $$server 2>/dev/null; rm -f "$$first"' EXIT; trap 'exit 130' INT TERM; \
	  while ! grep -q ws:// "$$first"; do kill -0 $$server; sleep 0.1; done; \
	  host=$$(grep -o 'ws://[^ ]*' "$$first"); cat "$$first"; \
	fi; \
	$(BIN)/locust -f loadtest --web-host 127.0.0.1 --host "$$host" $(ARGS)

stack: install ## server, Prometheus, Locust's web UI and, where it is installed, Grafana: wired, until Ctrl-C
	@.ci/system-packages prometheus
	@exec $(BIN)/python -m deploy.stack $(ARGS)

dashboards: install ## build Grafana's dashboards from their code
	@$(BIN)/python -m grafana.build

preview: install ## draw each dashboard from a real run's answers, without Grafana
	@.ci/system-packages prometheus
	@$(BIN)/python -m tests.grafana.preview

test: install ## every test, against real parts
	@.ci/system-packages prometheus promtool amtool docker-compose node npm nginx haproxy dnsmasq ip chromium
	@$(BIN)/python -m pytest --numprocesses 6 --dist worksteal $(ARGS)

mutants: install ## mutation tests of the pure core, about an hour; a part: ARGS="server.chat.room*"
	@$(BIN)/python -m tests.mutants $(ARGS)

lint: install ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff .; exit 1; }
	@$(BIN)/mypy

bench: install ## beside other servers doing the same, about 20 minutes; a part: ARGS="--workloads big --servers bun"
	@.ci/system-packages node npm
	@$(BIN)/python -m benchmarks $(ARGS)

soak: install ## ten minutes of mixed load, after which nothing may have grown; another time: ARGS="--seconds 3600"
	@$(BIN)/python -m tests.promises.soak $(ARGS)

cluster-demo: install ## two servers, NATS, HAProxy, Locust and Prometheus on hosts of their own, for half a minute
	@.ci/system-packages haproxy prometheus ip
	@$(BIN)/python -m tests.promises.cluster_demo $(ARGS)
