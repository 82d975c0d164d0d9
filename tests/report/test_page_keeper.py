"""The page is renewed while a run goes on, and never in its way."""

from __future__ import annotations

import pytest

from made_runs import write_made_run
from sparksmith.report import page
from sparksmith.report.renewal import PageKeeper
from sparksmith.runs.clean import own_paths
from sparksmith.runs.records import Recorder


@pytest.fixture
def run(tmp_path):
    return write_made_run(tmp_path / "run")


@pytest.fixture
def keeper(run):
    """A keeper, and what it told."""
    told = []
    made = PageKeeper(run, told.append)
    return made, told


class TestRenewal:
    @pytest.mark.parametrize(
        ("kind", "renewed"),
        [
            ("checkpoint_saved", True),
            ("evaluation", True),
            ("metric", False),
            ("warning", False),
            ("job_finished", False),
        ],
    )
    def test_at_a_save_and_after_an_evaluation(self, run, keeper, kind, renewed):
        keeper[0]({"kind": kind})
        assert run.report.is_file() == renewed
        assert keeper[1] == []

    def test_as_a_sink_of_the_run(self, run):
        recorder = Recorder(run, clock=lambda: 1_795_240_000.0)
        recorder.sinks.append(PageKeeper(run, recorder.tell))
        recorder.event("checkpoint_saved", step=700, path=str(run.path / "checkpoint-700"))
        recorder.close()
        assert "step 700" in run.report.read_text(encoding="utf-8")

    def test_a_page_that_cannot_be_written_is_told_once(self, run, keeper, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(page, "write_atomic", full)
        for _ in range(3):
            keeper[0].renew()
        assert [line["kind"] for line in keeper[1]] == ["warning"]
        assert "report.html cannot be written: [Errno 28] No space left on device" in keeper[1][0]["message"]

    def test_no_defect_of_the_page_stops_a_run(self, keeper, monkeypatch):
        monkeypatch.setattr(page, "render_run", lambda *_: 1 / 0)
        keeper[0].renew()
        assert "division by zero" in keeper[1][0]["message"]

    def test_a_handler_does_not_begin_a_page_inside_a_page(self, run, keeper, monkeypatch):
        begun = []

        def write(_):
            begun.append(1)
            keeper[0].renew()  # as a signal's handler would, in the middle of it

        monkeypatch.setattr(page, "write_run", write)
        keeper[0].renew()
        keeper[0].renew()
        assert len(begun) == 2


def test_clean_takes_the_page_too(run):
    page.write_run(run)
    (run.path / ".report.html.a1b2c3d4").touch()  # of a process that was killed while it wrote
    names = {path.name for path in own_paths(run)}
    assert {"report.html", ".report.html.a1b2c3d4"} <= names
