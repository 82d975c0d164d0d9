"""What a run's page says: every part from its record, and a note in place of what is missing or damaged."""

from __future__ import annotations

import html
import json
import re
import time
from dataclasses import replace

import pytest

from made_runs import BEGAN, data, evaluation, metrics, write_lines, write_made_run
from records import write_run
from sparksmith.base.errors import SparksmithError
from sparksmith.report import answers
from sparksmith.report.curves import Happening, clock, happenings, listed, marks_of, seconds_of, steps
from sparksmith.report.page import State, check_target, render_run
from sparksmith.report.page import write_run as write_page
from sparksmith.report.run_records import read_records
from sparksmith.runs.layout import RunFolder


@pytest.fixture
def run(tmp_path):
    return write_made_run(tmp_path / "made-run")


def page_of(folder, state=None):
    return render_run(folder, state, clock=lambda: BEGAN + 100)


def words_of(page):
    """The page's text, without its style, script and marks."""
    body = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
    return re.sub(r" (?=[,.)])", "", words)


def sections_of(page):
    return re.findall(r'<section id="(\w+)"', page)


ALL = [
    "curves", "samples", "scores", "confusions", "worst", "training", "events", "data", "plan", "machine", "again",
]  # fmt: skip


class TestWhole:
    def test_every_section(self, run):
        assert sections_of(page_of(run)) == ALL

    def test_the_head_says_what_it_was_and_what_came_of_it(self, run):
        words = words_of(page_of(run))
        assert "A decoder of 861k parameters from scratch · 1,096 rows · 600 steps of batch 32 · 1 min 12 s" in words
        assert "WER words with a wrong phone 20.8% 95% interval 17.2 to 24.7% untrained 98.0%" in words

    def test_the_charts(self, run):
        page = page_of(run)
        assert re.findall(r'id="chart-(\w+)"', page) == [
            "loss", "errors", "learning_rate", "grad_norm", "tokens_per_second", "memory",
        ]  # fmt: skip
        assert "Below the curves: ● a save, ◆ a warning." in page
        assert page.count('<div class="plot"') == 8  # the loss and the errors twice, linear and log
        assert "Loss: training 2.84 at step 10, 0.607 at step 600; held out" in page

    def test_nothing_is_loaded_from_anywhere(self, run):
        page = page_of(run)
        assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:" in page
        assert re.findall(r"(?:src|href)=\"([^\"]*)\"", page) == ["data:,"]
        assert "url(" not in page
        assert "@import" not in page

    def test_the_confusions(self, run):
        words = words_of(page_of(run))
        assert "e a 21 410 5.1%" in words  # 21 of 410
        assert "nothing e 6 ʔ nothing 6 61 9.8%" in words  # the same word on both sides
        page = page_of(run)
        assert 'title="e expected, nothing said: 12 of 410 times"' in page
        assert 'title="nothing expected, e said: 6 times"' in page
        assert words.count("too much") == words.count("left out") == 1  # where the word is explained

    def test_samples_show_what_is_wrong_and_what_is_missing(self, run):
        page = page_of(run)
        assert '<bdi dir="auto">m<mark>e</mark>χtˈav</bdi>' in page
        assert '<bdi dir="auto">χˈed<span class="missing" title="missing: e"></span>ʁ</bdi>' in page
        assert '<bdi dir="auto">מכתב</bdi>' in page

    def test_the_data_and_its_warnings(self, run):
        words = words_of(page_of(run))
        assert "1,096 rows (tsv); 5 to 63 tokens, median 22, 95% up to 40" in words
        assert "3 rows repeat an earlier row (lines 12, 40, 77)" in words
        assert "1 row is not in Unicode's composed form (NFC) (line 3)" in words
        assert "4 held-out rows are in the training data too (lines 2, 8, 11, 30)" in words
        assert "6 held-out prompts are in the training data too" in words
        assert "ץ (HEBREW LETTER FINAL TSADI, 1 row)" in words

    def test_the_plan_and_its_reasons(self, run):
        words = words_of(page_of(run))
        assert "device cpu nvidia-smi shows no GPU" in words
        assert "Asked for by flag max_steps 600 output_dir made-run" in words
        assert "Asked for by the recipe g2p-hebrew model tiny" in words
        assert "What follows from that full_finetuning yes `tiny` starts from random weights" in words
        assert "All 16 keys" in words

    def test_the_commands(self, run):
        words = words_of(page_of(run, State("stopped", "asked")))
        assert "sparksmith train g2p-hebrew --max_steps 600 --output_dir made-run" in words
        assert "sparksmith train --output_dir made-run --resume_from_checkpoint" in words
        assert "--resume_from_checkpoint" not in words_of(page_of(run, State("finished", "")))

    def test_the_same_records_make_the_same_page(self, run):
        assert page_of(run) == page_of(run)

    def test_one_of_something_is_not_several(self, run):
        told = evaluation() | {"rows": 1, "cut_off": 1, "too_long": [3]}
        told["worst"] = [told["worst"][0] | {"errors": 1}]
        run.evaluation.write_text(json.dumps(told))
        words = words_of(page_of(run))
        assert "line 17 · 1 error in 11" in words
        assert "1 row of held_out.tsv" in words
        assert "1 answer reached the longest that is allowed." in words
        assert "1 row does not fit the model and counts as an empty answer." in words
        assert re.findall(r"\b1 (?:rows|errors|edits|answers|pairs|steps|checkpoints|tokens|times)\b", words) == []

    def test_a_description_begins_like_a_sentence(self, tmp_path):
        words = words_of(page_of(write_made_run(tmp_path / "run", description="words to phones")))
        assert "Words to phones" in words


class TestState:
    def test_running(self, run):
        words = words_of(page_of(run, State("running", "")))
        assert "Running, step 600 of 600, renewed at 2026-11-21 05:45 UTC." in words

    def test_the_manifest_counts_where_nobody_looked_at_the_process(self, tmp_path):
        folder = write_run(tmp_path / "young", "failed", message="the disk is full")
        words = words_of(page_of(folder))
        assert "failed" in words
        assert "Failed at step 0 of 20: the disk is full" in words


class TestEvents:
    def test_saves_in_a_row_are_one_row(self, run):
        rows = [(one.kind, one.step, one.text) for one in listed(happenings(read_records(run)))]
        assert rows == [
            ("started", 0, "started"),
            ("saved", 100, "saved checkpoint-100"), ("saved", 200, "saved checkpoint-200"),
            ("warning", 300, "wandb has no key here"), ("saved", 300, "saved checkpoint-300"),
            ("stopped", 300, "stopped: sparksmith stop: asked for"), ("started", 300, "started"),
            ("resumed", 300, "resumed from checkpoint-300"),
            ("saved", 400, "saved 3 checkpoints, one every 100 steps"),
            ("trained", 600, "trained to step 600 in 1 min 00 s"), ("evaluated", 600, "evaluated"),
            ("finished", 600, "finished"),
        ]  # fmt: skip

    def test_saves_in_a_row_say_from_when_to_when(self, run):
        page = words_of(page_of(run))
        assert "05:44:40 to 05:45:00 steps 400 to 600 saved 3 checkpoints" in page

    def test_a_row_that_ends_on_another_day_says_so(self):
        first, last = Happening("saved", BEGAN, 1, "a"), Happening("saved", BEGAN + 86_400, 5, "b")
        several = replace(first, until=last)
        assert (clock(first), clock(several)) == ("05:44:00", "05:44:00 to 2026-11-22 05:44:00")
        assert (steps(first), steps(several)) == ("step 1", "steps 1 to 5")

    def test_an_evaluation_says_its_rates(self, run):
        events = [json.loads(line) for line in run.events.read_text().splitlines()]
        write_lines(
            run.events, [one | {"scores": evaluation()["scores"]} for one in events if one["kind"] == "evaluation"]
        )
        assert happenings(read_records(run))[0].text == "evaluated: WER 20.8%, PER 6.0%, exact match 74.7%"

    def test_one_line_for_a_stop_and_its_resume(self, run):
        lines = [mark for mark in marks_of(happenings(read_records(run))) if mark.line]
        assert [(mark.x, mark.label) for mark in lines] == [(300, "stopped, resumed")]

    def test_many_saves_are_thinned_on_the_curves(self, tmp_path):
        folder = write_made_run(tmp_path / "run", steps=2000)
        write_lines(folder.events, [{"kind": "checkpoint_saved", "time": 1.0, "step": step} for step in range(1, 2001)])
        steps = [mark.x for mark in marks_of(happenings(read_records(folder)))]
        assert steps == list(range(1, 2001, 40))

    def test_a_process_that_died_is_told_by_the_next(self, tmp_path):
        folder = write_run(tmp_path / "run")
        write_lines(folder.metrics, [{"time": 15.0, "step": 40, "loss": 1.0}])
        started = {"kind": "job_started", "time": 10.0}
        warning = {"kind": "warning", "time": 20.0, "message": "hm"}
        write_lines(folder.events, [started, warning, started | {"time": 99.0}])
        found = [(one.kind, one.step) for one in happenings(read_records(folder))]
        assert found == [("started", 0), ("warning", 40), ("died", 40), ("started", 40)]

    def test_time_that_no_process_ran_does_not_count(self, tmp_path):
        folder = write_run(tmp_path / "run")
        write_lines(
            folder.events,
            [
                {"kind": "job_started", "time": 100.0}, {"kind": "job_finished", "time": 130.0, "exit_code": 75},
                {"kind": "job_started", "time": 5000.0}, {"kind": "resumed", "time": 5001.0, "step": 3},
            ],
        )  # fmt: skip
        write_lines(folder.metrics, [{"time": 5010.0, "step": 4, "loss": 1.0}])
        assert seconds_of(read_records(folder)) == 40  # 30, and 10 up to the last point


class TestMissing:
    @pytest.mark.parametrize(
        ("record", "gone"),
        [
            ("metrics.jsonl", ["curves", "training"]), ("events.jsonl", ["events"]),
            ("evaluation.json", ["scores", "confusions", "worst"]),
            ("predictions.jsonl", ["samples"]), ("manifest.json", ["machine"]), ("settings.json", []),
            ("data.json", []), ("plan.json", ["plan"]), ("recipe.yaml", []),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("damage", ["gone", "cut", "binary", "a list"])
    def test_one_record(self, run, record, gone, damage):
        path = run.path / record
        if damage == "gone":
            path.unlink()
        else:
            whole = path.read_bytes()
            cut = whole[: len(whole) // 2]
            path.write_bytes({"cut": cut, "binary": bytes(range(256)) * 9, "a list": b"[1, 2]\n[3]\n"}[damage])
        page = page_of(run)
        left = [name for name in ALL if name not in gone]
        if damage == "cut" and record.endswith(".jsonl"):
            left = ALL
        if record == "plan.json":  # what was asked for stands in the settings too
            left = ALL
        assert sections_of(page) == left
        if record not in {"settings.json", "recipe.yaml"} and damage != "cut":
            assert 'class="notes"' in page

    def test_only_a_plan(self, tmp_path):
        folder = RunFolder(tmp_path / "young")
        folder.path.mkdir()
        folder.plan.write_text('{"max_steps": 20, "name": "young"}')
        words = words_of(page_of(folder))
        assert "no curves yet" in words
        assert "no scores" in words

    def test_an_empty_plan_and_strange_values(self, tmp_path):
        folder = write_run(tmp_path / "run", machine="a fast one", packages=["torch"], parameters="many")
        folder.plan.write_text(json.dumps({"max_steps": "many", "choices": {"a": 1}, "train_data": 3}))
        folder.settings.write_text(json.dumps({"values": [], "origins": {"a": 1}}))
        write_lines(folder.metrics, [{"step": "x", "loss": 1}, {"step": 3, "loss": "low"}, {"step": -1}])
        write_lines(folder.events, [{"kind": 5, "time": "now"}, {"kind": "warning", "step": "x"}, {}])
        assert "charts" not in sections_of(page_of(folder))

    def test_lines_in_the_middle_that_are_broken(self, run):
        rows = run.metrics.read_text().split("\n")
        rows[10] = rows[10][:20]
        run.metrics.write_text("\n".join(rows) + '{"step": 700, "lo')
        words = words_of(page_of(run))
        assert "1 line of metrics.jsonl cannot be read" in words
        assert words.count("cannot be read") == 1  # the last one is being written

    def test_an_evaluation_of_an_older_shape(self, run):
        old = evaluation()
        for scores in (old["scores"], old["untrained"]):
            for row in scores.values():
                del row["low"], row["high"], row["mean_of_rows"]
        for name in ("decoding", "too_long", "cut_off", "worst", "confusions"):
            del old[name]
        run.evaluation.write_text(json.dumps(old))
        page = page_of(run)
        assert sections_of(page) == [name for name in ALL if name not in {"confusions", "worst"}]
        assert "evaluation.json names no worst rows and no confusions" in words_of(page)
        assert "WER words with a wrong phone 20.8% untrained 98.0%" in words_of(page)

    @pytest.mark.parametrize(
        ("changed", "gone"),
        [
            ({"worst": [{"prompt": "a"}]}, "worst"), ({"worst": 3}, "worst"),
            ({"confusions": [{"expected": "a"}]}, "confusions"), ({"confusions": "many"}, "confusions"),
            ({"scores": [1]}, "scores"),
        ],
    )  # fmt: skip
    def test_parts_of_another_shape(self, run, changed, gone):
        run.evaluation.write_text(json.dumps(evaluation() | changed))
        assert sections_of(page_of(run)) == [name for name in ALL if name != gone]

    def test_data_of_another_shape_leaves_what_the_plan_knows(self, run):
        run.data.write_text(json.dumps({"version": 2, "files": {"train": 1}}))
        words = words_of(page_of(run))
        assert "data.json is of a shape that this version of Sparksmith does not know" in words
        assert "Training …/train.tsv, 1,096 rows" in words

    def test_data_counted_in_characters_has_no_limit(self, run):
        counted = data()
        for file in counted["files"]:
            file["lengths"] |= {"unit": "characters", "over": 0}
        run.data.write_text(json.dumps(counted))
        page = page_of(run)
        assert "5 to 63 characters" in words_of(page)
        assert "max_length" not in page.split('id="plan"')[0].split("</style>")[1]


class TestAnswers:
    def test_alignment_by_phones(self):
        kinds = answers.compare(answers.split_units("tˈov", "words"), answers.split_units("dˈof", "words"))
        assert [(piece.text, piece.kind) for piece in kinds] == [
            ("d", "wrong"), ("ˈo", "same"), ("f", "wrong"),
        ]  # fmt: skip

    def test_modifiers_stay_with_their_phone(self):
        assert answers.split_units("tʰa\u0303", "words") == ["tʰ", "a\u0303"]

    def test_phones_that_spaces_separate(self):
        kinds = answers.compare(answers.split_units("k æ t", "phones"), answers.split_units("k ɒ t s", "phones"))
        assert [(piece.text, piece.kind) for piece in kinds] == [
            ("k", "same"), (" ɒ", "wrong"), (" t", "same"), (" s", "wrong"),
        ]  # fmt: skip

    def test_long_texts_are_cut(self):
        assert len(answers.clip("a" * 5000)) == 300

    def test_the_map_counts_what_it_leaves_out(self):
        pairs = [{"expected": chr(97 + at), "predicted": "z", "count": 20 - at, "of": 100} for at in range(15)]
        drawn = answers.confusions_of({"confusions": pairs})
        assert len(drawn.rows) == 12
        # 20 + 19 + ... + 6 = 195, of which the map leaves out 8 + 7 + 6
        assert drawn.notes == ("195 edits in all, of 15 different pairs; the map shows 174 of them, the table 195.",)
        assert drawn.cells[0][0] == (answers.Pair("a", "z", 20, 100), 1.0)

    def test_pairs_that_the_record_leaves_out_are_told(self):
        pairs = [{"expected": f"{at}", "predicted": None, "count": 1, "of": 9} for at in range(200)]
        (note,) = answers.confusions_of({"confusions": pairs}).notes
        assert note.startswith("The record keeps the 200 most frequent pairs, 200 edits; the map shows 12 of them")

    def test_a_small_share_is_not_none(self):
        assert [answers.Pair("a", "b", 1, of).share for of in (4, 3000)] == ["25.0%", "under 0.1%"]

    def test_an_empty_answer_says_so(self, run):
        rows = [
            {"prompt": "a", "reference": "b", "prediction": "", "untrained": " "},
            {"prompt": "a", "reference": "b", "prediction": "b"},
        ]
        write_lines(run.predictions, rows)
        words = words_of(page_of(run).split('id="samples"')[1].split("</table>")[0])
        assert words.endswith("a b empty empty a b – b ✓")

    def test_a_space_can_be_seen(self):
        assert [answers.visible(unit) for unit in (" ", "\u0301", "a", None)] == ["␣", "◌\u0301", "a", None]

    def test_rates_above_one_stand_at_the_end(self):
        assert answers.percent(2.5) == 100


class TestWriting:
    def test_beside_the_records_and_whole(self, run):
        path = write_page(run)
        assert path == run.path / "report.html"
        assert path.read_text(encoding="utf-8").endswith("</html>")
        check_target(path)  # ours may be written again

    def test_other_files_are_not_written_over(self, run, tmp_path):
        with pytest.raises(SparksmithError, match="no page of Sparksmith's"):
            check_target(run.plan)
        with pytest.raises(SparksmithError, match="is a folder"):
            check_target(tmp_path)
        check_target(tmp_path / "new.html")

    def test_ten_thousand_points_are_quick_and_small(self, tmp_path):
        folder = write_made_run(tmp_path / "long", steps=10_000, every=1)
        assert len(metrics(10_000, 1)) >= 10_000
        page_of(folder)
        began = time.process_time()
        page = page_of(folder)
        assert time.process_time() - began < 1  # 0.3 s on the machine it was written on
        assert len(page.encode()) < 400_000
        words = words_of(page)
        assert "the lowest and the highest of each stretch are drawn (600 of 10,000)" in words
        assert "The dark line is the mean of each stretch." in words
