"""The map of the repository, which `test_architecture.py` checks: dependencies, pure modules, freedom from Locust."""

from __future__ import annotations

# The packages that each package may import beside itself. A module outside of a subpackage has its own row;
# `server.http` covers all modules below it.
DEPENDENCIES: dict[str, str] = {
    # the parts of the load generator that the server shares
    "stampede.redaction": "",
    "stampede.websocket.frames": "",
    "stampede.metrics.histogram_buckets": "",
    "stampede.metrics.metric": "",
    "stampede.metrics.families": "stampede.measure.log_linear_histogram stampede.metrics.metric",
    "stampede.metrics.exposition": "stampede.metrics.metric stampede.metrics.process",
    "stampede.metrics.process": "",
    # the server
    "server": "",
    "server.errors": "",
    "server.histogram_buckets": "",
    "server.setting_types": "",
    "server.token_bucket": "",
    "server.protocol": "server.errors",
    "server.settings": "server.setting_types stampede.redaction",
    "server.stats": "server.errors server.histogram_buckets server.protocol stampede.metrics.histogram_buckets",
    "server.runtime": "server.errors server.stats server.token_bucket",
    "server.chat": "server.errors server.protocol server.stats server.token_bucket stampede.websocket.frames",
    "server.uploads": "server.chat server.errors server.protocol server.runtime server.stats",
    "server.cluster": "server.chat server.errors server.runtime server.stats",
    "server.websocket": "server.chat server.errors server.protocol server.runtime server.settings server.stats "
    "server.token_bucket server.uploads stampede.websocket.frames",
    "server.http": "server.chat server.errors server.protocol server.stats server.token_bucket server.uploads "
    "server.websocket",
    "server.drain": "server.errors server.websocket",
    "server.supervisor": "server.errors server.runtime server.settings",
    "server.app": "metrics server.chat server.cluster server.drain server.errors server.http server.runtime "
    "server.settings server.stats server.supervisor server.uploads server.websocket stampede.metrics.exposition",
    "server.__main__": "server.app server.settings",
    # the load generator
    "stampede": "",
    "stampede.errors": "",
    "stampede.generator_faults": "",
    "stampede.glossary": "",
    "stampede.ledger": "",
    "stampede.workload": "",
    "stampede.websocket": "stampede.errors stampede.generator_faults stampede.redaction",
    "stampede.measure": "stampede.generator_faults stampede.ledger stampede.websocket.addresses",
    "stampede.verdict": "stampede.errors stampede.generator_faults stampede.ledger stampede.measure "
    "stampede.websocket.addresses",
    "stampede.health": "stampede.generator_faults stampede.measure",
    "stampede.dialects": "stampede.errors stampede.ledger stampede.measure.request_names",
    "stampede.dialect_registry": "stampede.dialects stampede.errors",
    "stampede.client": "stampede.dialects stampede.ledger stampede.measure stampede.websocket stampede.workload",
    "stampede.pool": "stampede.client stampede.dialects stampede.generator_faults stampede.health stampede.ledger "
    "stampede.measure stampede.websocket stampede.workload",
    "stampede.credentials_file": "",
    "stampede.waiting": "",
    "stampede.writable": "",
    "stampede.argument_types": "stampede.redaction",
    "stampede.check": "stampede.argument_types stampede.client stampede.credentials_file stampede.dialect_registry "
    "stampede.dialects stampede.errors stampede.ledger stampede.measure stampede.redaction stampede.waiting "
    "stampede.websocket stampede.workload",
    "stampede.__main__": "stampede.dialect_registry stampede.errors",
    "stampede.generator": "stampede.check stampede.client stampede.dialect_registry stampede.dialects stampede.errors "
    "stampede.generator_faults stampede.health stampede.ledger stampede.measure stampede.pool stampede.redaction "
    "stampede.verdict stampede.waiting stampede.websocket stampede.workload",
    "stampede.pytest_plugin": "stampede.errors stampede.generator stampede.verdict",
    "stampede.metrics": "stampede.measure",
    "stampede.locust": "stampede.argument_types stampede.check stampede.client stampede.credentials_file "
    "stampede.dialect_registry stampede.dialects stampede.errors stampede.generator_faults "
    "stampede.health stampede.ledger stampede.measure stampede.metrics stampede.pool stampede.redaction "
    "stampede.verdict stampede.waiting stampede.websocket stampede.workload stampede.writable",
    "loadtest": "stampede",
    # metrics and dashboards
    "metrics": "server.errors server.histogram_buckets server.protocol server.stats stampede.metrics",
    "grafana": "metrics.catalog",
    # capacity runs
    "capacity": "",
    "capacity.errors": "",
    "capacity.formatting": "stampede.measure.formatting",
    "capacity.signals": "capacity.errors",
    "capacity.http_client": "stampede.redaction",
    "capacity.record": "capacity.formatting stampede.measure.address_pairs",
    "capacity.config": "capacity.errors capacity.formatting stampede.dialect_registry stampede.dialects "
    "stampede.locust.options stampede.measure stampede.redaction stampede.verdict.slo stampede.websocket.endpoint "
    "stampede.websocket.headers",
    "capacity.measure": "capacity.config capacity.errors capacity.http_client capacity.record stampede.dialects "
    "stampede.generator_faults stampede.health stampede.measure stampede.redaction stampede.websocket.addresses",
    "capacity.processes": "capacity.errors capacity.formatting capacity.http_client capacity.measure capacity.record "
    "capacity.signals stampede.measure",
    "capacity.judge": "capacity.config capacity.formatting capacity.measure capacity.record stampede.generator_faults "
    "stampede.health stampede.measure.address_pairs",
    "capacity.model": "capacity.errors capacity.formatting capacity.judge capacity.measure capacity.record "
    "stampede.dialects",
    "capacity.search": "capacity.config capacity.judge capacity.measure capacity.model capacity.processes "
    "capacity.record stampede.generator_faults stampede.measure",
    "capacity.profile": "capacity.errors capacity.formatting capacity.http_client capacity.measure "
    "capacity.processes capacity.record",
    "capacity.storms": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.measure "
    "capacity.record capacity.search stampede.measure",
    "capacity.report": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.model "
    "capacity.record capacity.search stampede.glossary",
    "capacity.summary": "capacity.config capacity.errors capacity.formatting capacity.record capacity.report "
    "stampede.locust.options stampede.verdict stampede.writable",
    "capacity.testbed": "capacity.config capacity.errors capacity.http_client capacity.measure capacity.processes "
    "capacity.record stampede.dialect_registry stampede.redaction stampede.websocket.errors stampede.websocket.tls",
    "capacity.run": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.measure "
    "capacity.processes capacity.profile capacity.record capacity.report capacity.search capacity.storms "
    "capacity.testbed",
    "capacity.run_report": "capacity.config capacity.errors capacity.judge capacity.model capacity.profile "
    "capacity.record capacity.report capacity.run capacity.search capacity.storms stampede.measure.address_pairs "
    "stampede.redaction stampede.workload.backoff",
    "capacity.web": "capacity.config capacity.errors capacity.formatting capacity.processes capacity.record "
    "capacity.report",
    "capacity.drill": "capacity.config capacity.errors capacity.formatting capacity.judge capacity.measure "
    "capacity.processes capacity.record capacity.report capacity.search capacity.storms capacity.testbed "
    "stampede.measure",
    "capacity.cli": "capacity.config capacity.drill capacity.errors capacity.formatting capacity.http_client "
    "capacity.judge capacity.measure capacity.model capacity.processes.cores capacity.record capacity.report "
    "capacity.run capacity.run_report capacity.search capacity.signals capacity.storms.result capacity.summary "
    "capacity.web stampede.dialect_registry stampede.dialects stampede.redaction",
    "capacity.__main__": "capacity.cli",
    # deployment and benchmarks
    "deploy": "capacity",
    "benchmarks": "capacity server stampede",
    "docs": "capacity metrics server stampede",
}
PACKAGES = ("server", "stampede", "loadtest", "metrics", "grafana", "capacity", "deploy", "benchmarks", "docs")

# Pure packages and modules: no socket, no file, no clock, no randomness, no thread of their own.
PURE = [
    "server.errors",
    "server.histogram_buckets",
    "server.token_bucket",
    "server.protocol",
    "server.stats",
    "server.chat",
    "server.cluster.liveness",
    "server.cluster.membership",
    "server.cluster.messages",
    "server.cluster.node",
    "server.cluster.outbox",
    "server.http.parser",
    "server.http.upgrade",
    "server.supervisor.startup_report",
    "server.websocket.heartbeat",
    "server.websocket.outbound",
    "server.websocket.rate_limit",
    "stampede.check.dialect_table",
    "stampede.check.findings",
    "stampede.check.probe",
    "stampede.check.report",
    "stampede.check.result",
    "stampede.check.texts",
    "stampede.errors",
    "stampede.generator.results",
    "stampede.generator.threshold_check",
    "stampede.glossary",
    "stampede.redaction",
    "stampede.ledger",
    "stampede.locust.agents.assignment",
    "stampede.locust.agents.run_facts",
    "stampede.client.outbox",
    "stampede.client.credentials",
    "stampede.client.pings",
    "stampede.dialects",
    "stampede.websocket.addresses",
    "stampede.websocket.endpoint",
    "stampede.websocket.headers",
    "stampede.workload.accounts",
    "stampede.workload.address_deal",
    "stampede.workload.backoff",
    "stampede.workload.placement",
    "stampede.workload.schedule",
    "stampede.workload.shapes",
    "stampede.workload.sizes",
    "stampede.health.health",
    "stampede.health.limits",
    "stampede.measure.drop_causes",
    "stampede.measure.figures",
    "stampede.measure.formatting",
    "stampede.measure.log_linear_histogram",
    "stampede.measure.measures",
    "stampede.measure.report",
    "stampede.measure.request_names",
    "stampede.measure.serialization",
    "stampede.measure.snapshot",
    "stampede.measure.storm",
    "stampede.measure.storm_results",
    "stampede.metrics.catalog",
    "stampede.metrics.families",
    "stampede.metrics.histogram_buckets",
    "stampede.metrics.metric",
    "stampede.websocket.frames",
    "stampede.verdict",
    "metrics.catalog",
    "grafana.promql",
    "capacity.config.promise",
    "capacity.config.scenario",
    "capacity.config.secrets",
    "capacity.config.slo",
    "capacity.formatting",
    "capacity.judge",
    "capacity.measure.addresses",
    "capacity.measure.client_window",
    "capacity.measure.metrics_page",
    "capacity.measure.series",
    "capacity.measure.server_window",
    "capacity.measure.system_sample",
    "capacity.model.cores",
    "capacity.model.mix",
    "capacity.model.projection",
    "capacity.model.scalability",
    "capacity.model.scaling",
    "capacity.model.sizing",
    "capacity.model.student_t",
    "capacity.model.usl",
    "capacity.processes.start_failure",
    "capacity.profile.hot_spot",
    "capacity.profile.paths",
    "capacity.profile.stacks",
    "capacity.profile.summary",
    "capacity.report.answer",
    "capacity.report.chart_texts",
    "capacity.report.certainty",
    "capacity.report.compare",
    "capacity.report.comparison_markdown",
    "capacity.report.comparison_rows",
    "capacity.report.flame_graph",
    "capacity.report.next_steps",
    "capacity.report.noise",
    "capacity.report.profile_table",
    "capacity.report.question",
    "capacity.report.run_figures",
    "capacity.report.saved_run",
    "capacity.report.sections",
    "capacity.report.stop",
    "capacity.report.storm_words",
    "capacity.search.arrival",
    "capacity.search.bracket",
    "capacity.search.remedy",
    "capacity.search.search",
    "capacity.search.settling",
    "capacity.search.trials",
    "capacity.storms.judge",
    "capacity.summary.data",
    "capacity.summary.fields",
    "capacity.summary.junit",
    "capacity.summary.markdown",
    "capacity.summary.slos",
    "capacity.storms.result",
    "capacity.drill.judge",
    "capacity.drill.result",
    "capacity.drill.timeline",
]
IMPURE = {
    "asyncio", "gevent", "os", "pathlib", "random", "secrets", "select", "socket", "structlog",
    "subprocess", "threading", "time", "uvloop",
}  # fmt: skip

# The packages that may import Locust: the rest of the load generator runs without it.
LOCUST = ("stampede.locust", "loadtest", "benchmarks")
# But these run without it: `import locust` replaces sockets and threads of the whole process.
WITHOUT_LOCUST = (
    "stampede.locust.agents.assignment",
    "stampede.locust.options",
    "stampede.locust.preflight",
    "stampede.locust.settings",
    "stampede.locust.web.start_form",
)
