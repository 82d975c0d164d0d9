"""sparksmith report and the chart of runs show, as they are typed."""

from __future__ import annotations

import functools
import json
import webbrowser

import pytest

from made_runs import write_made_run
from typed import type_words, without_torch


@pytest.fixture
def type_in(tmp_path, monkeypatch, capsys):
    """Type a command line; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    without_torch(monkeypatch, "rapidfuzz")  # a page needs neither
    return functools.partial(type_words, monkeypatch, capsys)


@pytest.fixture
def run(tmp_path):
    return write_made_run(tmp_path / "a run")


class TestOne:
    def test_beside_the_records(self, type_in, run):
        assert type_in("report 'a run'") == (0, "a run/report.html\n", "")
        assert "g2p-hebrew" in run.report.read_text(encoding="utf-8")
        assert type_in("report 'a run'")[0] == 0  # and again

    def test_a_checkpoint_names_its_run(self, type_in, run):
        assert type_in("report 'a run/checkpoint-600'")[1] == "a run/report.html\n"

    def test_elsewhere(self, type_in, run, tmp_path):
        assert type_in("report 'a run' --output page.html")[1] == "page.html\n"
        assert (tmp_path / "page.html").is_file()
        assert not run.report.exists()

    def test_open(self, type_in, run, monkeypatch):
        shown = []
        monkeypatch.setattr(webbrowser, "open", lambda address: bool(shown.append(address)) or True)
        assert type_in("report --open 'a run'")[0] == 0
        assert shown == [run.report.as_uri()]

    def test_open_without_a_browser(self, type_in, run, monkeypatch):
        monkeypatch.setattr(webbrowser, "open", lambda address: False)
        code, _, err = type_in("report --open 'a run'")
        assert code == 0
        assert f"open {run.report.as_uri()}" in err

    def test_a_process_that_is_gone_does_not_run(self, type_in, run):
        manifest = json.loads(run.manifest.read_text())
        run.manifest.write_text(json.dumps(manifest | {"state": "running"}))
        type_in("report 'a run'")
        page = run.report.read_text(encoding="utf-8")
        assert 'class="chip died"' in page
        assert "--resume_from_checkpoint" in page

    def test_on_standard_output(self, type_in, run, tmp_path):
        code, out, err = type_in("report 'a run' --output -")
        assert (code, out.startswith("<!doctype html>"), err) == (0, True, "")
        assert [path.name for path in tmp_path.iterdir()] == ["a run"]


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "code", "message"),
        [
            ("report", 2, "Missing argument"),
            ("report nothing-there", 1, "nothing-there does not exist"),
            ("report empty", 1, "empty is no run"),
            ("report 'a run' --output 'a run/plan.json'", 1, "is no page of Sparksmith's"),
            ("report 'a run' --output empty", 1, "empty is a folder"),
            ("report 'a run' --output gone/page.html", 1, "gone/page.html cannot be written: No such file"),
            ("report 'a run' --output - --open", 2, "--open shows a file"),
            ("report 'a run' 'a run'", 2, "one and the same run"),
            ("report 'a run' nothing-there", 1, "nothing-there does not exist"),
        ],
    )
    def test_with_a_hint(self, type_in, run, tmp_path, words, code, message):
        (tmp_path / "empty").mkdir()
        before = run.plan.read_bytes()
        found, out, err = type_in(words)
        assert (found, out) == (code, "")
        assert message in err
        assert "hint:" in err
        assert run.plan.read_bytes() == before
        assert not run.report.exists()

    def test_nine_runs(self, type_in, tmp_path):
        names = [f"run-{number}" for number in range(9)]
        for name in names:
            (tmp_path / name).mkdir()
            (tmp_path / name / "plan.json").write_text("{}")
        code, _, err = type_in("report " + " ".join(names))
        assert code == 2
        assert "9 runs are too many for one page, 8 at most" in err


class TestSeveral:
    def test_one_page_here(self, type_in, run, tmp_path):
        write_made_run(tmp_path / "other", steps=400, learning_rate=0.001)
        assert type_in("report 'a run' other") == (0, "comparison.html\n", "")
        page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
        assert "2 runs compared" in page
        assert not run.report.exists()

    def test_only_an_earlier_page_is_replaced_and_that_is_told(self, type_in, run, tmp_path):
        write_made_run(tmp_path / "other", steps=400)
        assert type_in("report 'a run' other")[2] == ""
        _, _, err = type_in("report 'a run' other")
        assert err == "note: comparison.html of an earlier comparison is replaced; --output OTHER.html keeps it\n"
        (tmp_path / "comparison.html").write_text("<p>mine</p>")
        code, out, err = type_in("report 'a run' other")
        assert (code, out) == (1, "") and "is no page of Sparksmith's" in err and "hint: --output OTHER.html" in err
        assert (tmp_path / "comparison.html").read_text() == "<p>mine</p>"


class TestRunsShow:
    def test_the_loss_is_drawn(self, type_in, run):
        code, out, _ = type_in("runs show 'a run'")
        assert code == 0
        assert "loss 0.607   o held out 0.737" in out
        assert any(0x2800 < ord(character) < 0x2900 for character in out)
        assert max(map(len, out.splitlines()[1:])) <= 80
        assert "checkpoint  checkpoint-600" in out
        assert "\x1b" not in out

    def test_json_has_no_chart(self, type_in, run):
        assert json.loads(type_in("runs show 'a run' --json")[1])["step"] == 600

    def test_a_run_without_a_point_has_none(self, type_in, run):
        run.metrics.write_text("")
        assert "held out" not in type_in("runs show 'a run'")[1]
