"""Build a dashboard from rows of panels: variables, links, annotations and panel ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from grafana.panels import DATASOURCE, Panel
from grafana.promql import GENERATOR, PARENT, REQUESTS, SELECTED, SERVER

if TYPE_CHECKING:
    from grafana_foundation_sdk.cog.builder import Builder

TAG: Final = "stampede"
SERVER_TAG: Final = "stampede-server"
LOADTEST_UID: Final = "stampede-loadtest"
PROCESS_UID: Final = "stampede-process"
# Not restricted to job or instance, so that the dashboards of the server under test also show load tests.
TEST_RUNS: Final = f"max({GENERATOR})"
FIRING: Final = 'ALERTS{alertname=~"Chat.+", alertstate="firing"}'


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels below it, which fill each row of the grid."""

    title: str
    panels: tuple[Panel, ...]


def build(uid: str, title: str, description: str, *rows: Row) -> model.Dashboard:
    """Return a classic dashboard; those of load tests and processes also select generators and parent processes.

    That of load tests also selects request names.
    """
    loadtest = uid == LOADTEST_UID
    made = dashboard.Dashboard(title).uid(uid).description(description).tags([TAG] if loadtest else [TAG, SERVER_TAG])
    made.readonly().timezone("browser").tooltip(model.DashboardCursorSync.CROSSHAIR)
    made.refresh("5s").time("now-15m", "now")
    others = {LOADTEST_UID: GENERATOR, PROCESS_UID: PARENT}
    identifying = f'{{__name__=~"{SERVER}|{others[uid]}"}}' if uid in others else SERVER
    variables = _variables(identifying)
    if uid == LOADTEST_UID:
        variables.append(_variable("request", "Request", f"label_values({REQUESTS}{{{SELECTED}}}, name)"))
    made.variables(variables).annotations(_annotations()).links(_links())
    ids = iter(range(1, 1000))
    for row in rows:
        made.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made.with_panel(panel.id(next(ids)))
    return made.build()


def _variables(identifying: str) -> list[Builder[model.VariableModel]]:
    of_job = (
        identifying.replace("}", ', job=~"$job"}') if identifying.endswith("}") else f'{identifying}{{job=~"$job"}}'
    )
    source = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [
        source,
        _variable("job", "Job", f"label_values({identifying}, job)"),
        _variable("instance", "Instance", f"label_values({of_job}, instance)"),
    ]


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    variable = dashboard.QueryVariable(name).label(label).datasource(DATASOURCE)
    variable.query({"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"}).definition(
        query
    )
    variable.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(".+").current(everything)


def _annotations() -> list[Builder[model.AnnotationQuery]]:
    """Return annotations that shade test runs and mark firing alerts."""
    tests = dashboard.AnnotationQuery().name("Test runs").icon_color("rgba(110, 159, 255, 0.6)").expr(TEST_RUNS)
    tests.title_format("Load test running")
    alerts = dashboard.AnnotationQuery().name("Firing alerts").icon_color("red").expr(FIRING)
    alerts.title_format("{{alertname}}").text_format("{{instance}}").tag_keys("severity")
    return [query.datasource(DATASOURCE).enable(True).step("1s") for query in (tests, alerts)]


def _links() -> list[Builder[model.DashboardLink]]:
    """Return links that keep the time range and, between the server's dashboards, the variables.

    The link to the load test dashboard drops the variables, because a selected server would hide the generator.
    """
    siblings = dashboard.DashboardLink("Server").type(model.DashboardLinkType.DASHBOARDS).tags([SERVER_TAG])
    siblings.include_vars(True)
    url = f"/d/{LOADTEST_UID}?${{datasource:queryparam}}"
    loadtest = dashboard.DashboardLink("Load test").type(model.DashboardLinkType.LINK).url(url).icon("dashboard")
    loadtest.tooltip("The load generator beside the server")
    return [link.keep_time(True).as_dropdown(False).target_blank(False) for link in (siblings, loadtest)]
