"""The page of faults is what the rows say, and answers the older guides' troubleshooting."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from sparksmith.policy.faults import load_faults

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDES = ROOT.parent / "shared" / "guides"
needs_guides = pytest.mark.skipif(not GUIDES.is_dir(), reason="the older guides are not beside the checkout")

spec = importlib.util.spec_from_file_location("faults_reference", ROOT / "scripts" / "faults_reference.py")
assert spec is not None and spec.loader is not None
faults_reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(faults_reference)


def headings(text: str) -> list[tuple[int, str]]:
    """Level and anchor of each heading, as GitHub makes anchors; what stands in code blocks is none."""
    found, fenced = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and (match := re.match(r"(#+) (.+)", line)):
            anchor = re.sub(r"[^\w\- ]", "", match[2].strip().lower()).replace(" ", "-")
            found.append((len(match[1]), anchor))
    return found


def troubleshooting(text: str) -> list[str]:
    """Anchors of the headings under the one called Troubleshooting."""
    found, inside = [], 0
    for level, anchor in headings(text):
        if inside and level > inside:
            found.append(anchor)
        else:
            inside = level if anchor == "troubleshooting" else 0
    return found


def test_the_page_is_current():
    assert faults_reference.PAGE.read_text(encoding="utf-8") == faults_reference.page(), "make docs"


def test_each_fault_has_an_anchor_and_a_line_in_a_table():
    page = faults_reference.PAGE.read_text(encoding="utf-8")
    anchors = [anchor for _, anchor in headings(page)]
    for fault in load_faults():
        assert anchors.count(fault.id) == 1
        assert page.count(f"| [{fault.id}](#{fault.id}) | ") == 1
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= set(anchors)


def test_headings_are_read_as_github_does():
    text = '# A\n## Troubleshooting\n### Issue: "Docker: command not found"\n```\n# none\n```\n## sm_121a & b\n### c\n'
    assert headings(text)[2] == (3, "issue-docker-command-not-found")
    assert troubleshooting(text) == ["issue-docker-command-not-found"]
    assert headings(text)[-2:] == [(2, "sm_121a--b"), (3, "c")]


@needs_guides
def test_every_troubleshooting_entry_of_the_older_guides_is_answered():
    known = set(faults_reference.answered(load_faults())) | set(faults_reference.ANSWERED_ELSEWHERE)
    entries = {
        f"{path.name}#{anchor}"
        for path in GUIDES.glob("*.md")
        for anchor in troubleshooting(path.read_text(encoding="utf-8"))
    }
    assert len(entries) >= 17
    assert entries - known == set()


@needs_guides
def test_every_heading_that_is_named_exists():
    named = set(faults_reference.answered(load_faults())) | set(faults_reference.ANSWERED_ELSEWHERE)
    there = {
        f"{path.name}#{anchor}"
        for path in GUIDES.glob("*.md")
        for _, anchor in headings(path.read_text(encoding="utf-8"))
    }
    assert named - there == set()
