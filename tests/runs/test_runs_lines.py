"""A full disk costs lines, never halves of lines; a resume cuts the curves."""

from __future__ import annotations

import errno
import os

import pytest

from sparksmith.runs.layout import RunFolder
from sparksmith.runs.records import LineFile, Recorder, drop_metrics_after, read_lines


def full(descriptor, data):
    raise OSError(errno.ENOSPC, "No space left on device")


def short(write):
    return lambda descriptor, data: write(descriptor, data[:3])


@pytest.mark.parametrize("failing", [full, short(os.write)])
def test_a_line_that_does_not_fit_leaves_nothing(tmp_path, monkeypatch, failing):
    file = LineFile(tmp_path / "a.jsonl")
    file.write({"n": 1})
    before = (tmp_path / "a.jsonl").read_bytes()
    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(OSError, match="No space left"):
        file.write({"n": 2})
    monkeypatch.undo()
    assert (tmp_path / "a.jsonl").read_bytes() == before
    file.write({"n": 3})
    file.close()
    assert [line["n"] for line in read_lines(tmp_path / "a.jsonl")] == [1, 3]


def test_lost_lines_are_counted_and_told_once(tmp_path, monkeypatch):
    recorder = Recorder(RunFolder(tmp_path))
    told = []
    recorder.sinks.append(told.append)
    monkeypatch.setattr(os, "write", full)
    for step in (1, 2, 3):
        recorder.metric(step, loss=1.0)
    recorder.event("warning", message="other")
    monkeypatch.undo()
    recorder.metric(4, loss=1.0)
    recorder.close()
    assert recorder.lost_lines == 4
    warnings = [line["message"] for line in told if line["kind"] == "warning"]
    assert warnings == ["the run's records cannot be written: No space left on device", "other"]
    assert [line["step"] for line in told if line["kind"] == "metric"] == [1, 2, 3, 4]  # the sinks miss nothing
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")] == [4]


def test_what_is_no_point_of_the_curves_stays(tmp_path):
    folder = RunFolder(tmp_path)
    others = ['{"note": "no step"}', '{"step": null}', '{"step": "9"}', "[9]", "9"]
    folder.metrics.write_text("\n".join(['{"step": 1}', *others, '{"step": 9}']) + "\n")
    assert drop_metrics_after(folder, 1) == 1
    assert folder.metrics.read_text().splitlines() == ['{"step": 1}', *others]


def test_the_curves_are_cut_to_a_step(tmp_path):
    folder = RunFolder(tmp_path)
    assert drop_metrics_after(folder, 5) == 0
    assert not folder.metrics.exists()
    recorder = Recorder(folder)
    for step in (5, 10, 15, 20):
        recorder.metric(step, loss=1.0)
    assert drop_metrics_after(folder, 20) == 0
    assert drop_metrics_after(folder, 10) == 2
    recorder.restart_metrics()
    recorder.metric(15, loss=0.5)
    recorder.close()
    assert [(line["step"], line["loss"]) for line in read_lines(folder.metrics)] == [(5, 1.0), (10, 1.0), (15, 0.5)]
