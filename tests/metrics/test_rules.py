"""Rules, alerts and configurations pass promtool and amtool, and match the catalog."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import yaml

from metrics.catalog import CATALOG
from tests.metrics.fixtures import skip_or_fail
from tests.metrics.rules import PROFILES, PROMETHEUS, alerts, problems, profile

TESTS = sorted(path.name for path in (PROMETHEUS / "tests").glob("*.yml"))
ALERTS = [(name, rule.name) for name in PROFILES for rule in alerts(name)]


def said(*command: str) -> str:
    """Run a check that must succeed, and return its output."""
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", PROFILES)
def test_promtool_accepts_the_configuration(promtool: str, name: str) -> None:
    checked = said(promtool, "check", "config", "--lint=all", "--lint-fatal", f"{name}.yml")
    assert "WARNING" not in checked
    assert checked.count("SUCCESS") == 2 + len(PROFILES[name])


@pytest.mark.parametrize("file", ["recording", "loadtest", "production"])
def test_promtool_accepts_the_rules(promtool: str, file: str) -> None:
    said(promtool, "check", "rules", "--lint=all", "--lint-fatal", f"rules/{file}.yml")


@pytest.mark.parametrize("file", TESTS)
def test_the_rules_pass_their_promtool_tests(promtool: str, file: str) -> None:
    assert "SUCCESS" in said(promtool, "test", "rules", f"tests/{file}")


@pytest.mark.parametrize(("name", "alert"), ALERTS)
def test_every_alert_has_a_firing_and_a_silent_case(name: str, alert: str) -> None:
    seen = set()
    for file in TESTS:
        content = yaml.safe_load((PROMETHEUS / "tests" / file).read_text())
        if f"../rules/{name}.yml" in content["rule_files"]:
            for test in content["tests"]:
                seen |= {
                    bool(case["exp_alerts"]) for case in test.get("alert_rule_test", ()) if case["alertname"] == alert
                }
    assert seen == {True, False}


def test_every_recorded_series_is_used() -> None:
    looked_at = "".join((PROMETHEUS / "tests" / file).read_text() for file in TESTS)
    recorded = [rule.name for rule in profile("production") if not rule.is_alert]
    assert [name for name in recorded if name not in looked_at and ":slow_ratio_rate" not in name] == []


@pytest.mark.parametrize("name", PROFILES)
def test_the_rules_match_the_catalog(name: str) -> None:
    assert problems(profile(name), CATALOG) == []


@pytest.mark.parametrize("name", PROFILES)
def test_the_scrape_timeout_is_below_the_interval(name: str) -> None:
    config = yaml.safe_load((PROMETHEUS / f"{name}.yml").read_text())["global"]
    milliseconds = {key: _milliseconds(value) for key, value in config.items()}
    assert milliseconds["scrape_timeout"] < milliseconds["scrape_interval"] == milliseconds["evaluation_interval"]


@pytest.mark.parametrize("name", PROFILES)
def test_targets_are_in_files_and_jobs_match_the_rules(name: str) -> None:
    jobs = yaml.safe_load((PROMETHEUS / f"{name}.yml").read_text())["scrape_configs"]
    assert {job["job_name"] for job in jobs} == {"chat", "loadtest"}
    asked = set(re.findall(r'job="(\w+)"', "".join(rule.expr for rule in profile(name))))
    assert asked <= {job["job_name"] for job in jobs}
    for job in jobs:
        (discovery,) = job["file_sd_configs"]
        assert discovery["files"] == [f"targets/{job['job_name']}*.yml"]
        assert (PROMETHEUS / "targets" / f"{job['job_name']}.yml").exists()


def test_an_alert_of_both_configurations_has_the_same_text() -> None:
    load, production = ({rule.name: rule for rule in alerts(name)} for name in PROFILES)
    for name in load.keys() & production.keys():
        assert load[name].severity == production[name].severity
        assert load[name].annotation("summary") == production[name].annotation("summary")
    assert len(load.keys() & production.keys()) >= 11


def test_amtool_accepts_the_configuration_and_routes_by_severity() -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        skip_or_fail("amtool not found: install Alertmanager (Debian: prometheus-alertmanager)")
    assert "SUCCESS" in said(amtool, "check-config", "alertmanager.yml")
    for severity, receiver in (("critical", "on-call"), ("warning", "team"), ("info", "none")):
        said(
            *(amtool, "config", "routes", "test", "--config.file=alertmanager.yml"),
            *(f"--verify.receivers={receiver}", f"severity={severity}", "alertname=ChatServerDown"),
        )


def test_alertmanager_names_only_existing_alerts() -> None:
    named = set(re.findall(r"Chat[A-Za-z]+", (PROMETHEUS / "alertmanager.yml").read_text()))
    assert named <= {alert for _, alert in ALERTS}


def _milliseconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(ms|s)", duration).groups()  # type: ignore[union-attr] # else the test has failed
    return int(number) * (1000 if unit == "s" else 1)
