"""The structure of a JUnit report, as the schema that Jenkins and others validate: elements, attributes, order."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET


@dataclass(frozen=True)
class Element:
    """What an element may contain: its attributes, those it must have, and its children in this order."""

    attributes: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    children: tuple[str, ...] = ()


OUTCOME = Element(frozenset({"message", "type"}))
SCHEMA = {
    "testsuites": Element(frozenset({"name", "time", "tests", "failures", "errors"}), children=("testsuite",)),
    "testsuite": Element(
        frozenset({"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "package"}),
        frozenset({"name", "tests"}),
        ("properties", "testcase", "system-out", "system-err"),
    ),
    "testcase": Element(
        frozenset({"name", "classname", "time", "assertions", "status"}),
        frozenset({"name", "classname"}),
        ("skipped", "error", "failure", "system-out", "system-err"),
    ),
    "skipped": Element(frozenset({"message"})),
    "error": OUTCOME,
    "failure": OUTCOME,
    "system-out": Element(),
}


def cases(body: bytes) -> dict[str, list[ET.Element]]:
    """Return what is in each test case of a report, by its name; nothing if it passed."""
    return {case.attrib["name"]: list(case) for case in ET.fromstring(body).iter("testcase")}  # noqa: S314 - of our own


def problems(body: bytes) -> list[str]:
    """Return how a report differs from the schema, and counts of its suite that are wrong."""
    root = ET.fromstring(body)  # noqa: S314 - of our own
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        found += _problems_of(element)
    for suite in root.iter("testsuite"):
        found_cases = suite.findall("testcase")
        counts = {"tests": len(found_cases)}
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            counts[attribute] = sum(case.find(tag) is not None for case in found_cases)
        found += [f"{name}: {suite.get(name)}" for name, count in counts.items() if suite.get(name) != str(count)]
    return found


def _problems_of(element: ET.Element) -> list[str]:
    rule = SCHEMA.get(element.tag)
    if rule is None:
        return [f"unknown element {element.tag}"]
    found = [f"{element.tag} has {name}" for name in element.attrib if name not in rule.attributes]
    found += [f"{element.tag} lacks {name}" for name in rule.required - set(element.attrib)]
    tags = [child.tag for child in element]
    if any(tag not in rule.children for tag in tags):
        return [*found, f"{element.tag} contains {tags}"]
    if tags != sorted(tags, key=rule.children.index):
        found.append(f"{element.tag} has its children in the order {tags}")
    return found
