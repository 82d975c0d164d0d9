"""Scores, predictions, the worst rows and the confusions as a terminal shows them."""

from __future__ import annotations

import io
import unicodedata

import pytest
from rich.cells import cell_len
from rich.console import Console

from sparksmith.data.examples import pair
from sparksmith.evaluate.result import Decoding, make_evaluation
from sparksmith.report.mistakes import LEFT_TO_RIGHT, clip, confusion_table, edits_text, plain, worst_table
from sparksmith.report.scores import format_rate, pick_shown, score_table, show_evaluation, show_result
from sparksmith.runs.layout import RunFolder
from sparksmith.score.rates import rate_of

WIDTH = 80


def evaluation(references, predictions, separated, prompts=None, **facts):
    prompts = prompts or [f"prompt {line}" for line in range(1, len(references) + 1)]
    examples = [pair(line, *each) for line, each in enumerate(zip(prompts, references, strict=True), start=1)]
    decoding = Decoding("greedy", 32, 64, "fp32")
    return examples, make_evaluation(examples, predictions, separated, seconds=75, decoding=decoding, **facts)


def rows_of(text: str) -> dict[str, list[str]]:
    """Each line's words under its first column."""
    return {line.split("  ")[0]: line.removeprefix(line.split("  ")[0]).split() for line in text.splitlines()}


def printed(renderable, **options) -> str:
    console = Console(file=io.StringIO(), width=WIDTH, highlight=False, **options)
    console.print(renderable)
    return console.file.getvalue()


class TestAfterARun:
    def shown(self, folder, references, trained, untrained=None, separated="words"):
        stream = io.StringIO()
        examples, after = evaluation(references, trained, separated)
        before = evaluation(references, untrained, separated)[1] if untrained else None
        show_result(RunFolder(folder), examples, before, after, stream)
        return stream.getvalue()

    def test_scores_beside_the_untrained(self, tmp_path):
        """One of two words is right: resamples hold 0, 1 or 2 of the right one, so the intervals reach from end to end.
        Of the second word's 2 phones one is wrong."""
        text = self.shown(tmp_path, ["ˈab", "dˈe"], ["ˈab", "te"], ["", "x"])
        rows = rows_of(text)
        assert rows["PER"] == ["100.0%", "25.0%", "(0.0", "to", "50.0)", "1", "of", "4", "phones"]
        assert rows["WER"] == ["100.0%", "50.0%", "(0.0", "to", "100.0)", "1", "of", "2", "words"]
        assert rows["stress error"] == ["100.0%", "50.0%", "(0.0", "to", "100.0)", "1", "of", "2", "marked", "words"]
        assert rows["exact match"] == ["0.0%", "50.0%", "(0.0", "to", "100.0)", "1", "of", "2", "rows", "right"]
        assert "untrained" in text
        assert "trained" in text
        assert "in brackets: 95% interval, bootstrap over the rows" in text
        assert "mean of the rows" not in text  # a row is a word: nothing to tell apart

    def test_the_mean_of_rows_where_rows_are_sentences(self, tmp_path):
        """1 of 3 words wrong: in a row of 2 and a row of 1 that is right, the mean is (1/2 + 0) / 2."""
        text = self.shown(tmp_path, ["a b", "c"], ["a o", "c"])
        assert rows_of(text)["WER"][0] == "33.3%"
        assert "mean of the rows' own rates: PER 25.0%, WER 25.0%, CER 16.7%" in " ".join(text.split())

    def test_a_dash_where_the_data_marks_no_stress(self, tmp_path):
        text = self.shown(tmp_path, ["ab"], ["ab"])
        assert rows_of(text)["stress error"] == ["–", "the", "data", "marks", "no", "stress"]
        assert "WER with stress" not in text

    def test_a_dash_where_nothing_can_be_compared(self, tmp_path):
        text = self.shown(tmp_path, ["ˈab"], [""])
        assert rows_of(text)["stress error"] == ["–", "no", "marked", "word", "to", "compare"]
        assert "WER with stress" in text

    def test_other_tasks_have_no_phones(self, tmp_path):
        text = self.shown(tmp_path, ["ab"], ["ac"], separated=None)
        assert "CER" in text
        assert "exact match" in text
        assert "characters taken for others" in text
        assert "PER" not in text
        assert "stress" not in text
        assert "phones" not in text

    def test_predictions_stand_beside_the_truth(self, tmp_path):
        text = self.shown(tmp_path, ["one", "a\nb"], ["one", "[b]ab"], separated=None)
        assert "prompt 1  one    one         right" in text
        assert "prompt 2  a\\nb   [b]ab       wrong" in text

    def test_it_stays_short(self, tmp_path):
        letters = "abdefghijk"
        text = self.shown(tmp_path, list(letters), ["x"] * len(letters), separated="phones")
        assert "phones taken for others, the first 5 of 10" in text
        assert "the worst rows" not in text
        assert len(text.splitlines()) <= 32

    def test_what_to_type_next_is_quoted(self, tmp_path, monkeypatch):
        folder = tmp_path / "it's a run"
        monkeypatch.chdir(tmp_path)
        text = self.shown(folder, ["x"], ["x"])
        assert """  sparksmith predict 'it'"'"'s a run' 'prompt 1'\n""" in text
        assert "  sparksmith eval 'it'" in text
        assert "taken for others" not in text

    @pytest.mark.parametrize(
        ("rows", "shown"),
        [(0, []), (1, [0]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4]), (10, [0, 2, 4, 6, 8]), (336, [0, 67, 134, 201, 268])],
    )
    def test_the_shown_rows_are_spread_over_the_file(self, rows, shown):
        assert pick_shown(rows) == shown


HEBREW = "הוא צפה בסרט וראה חיה שצפה במים, ואחר כך הלך הביתה לישון עם החתול שלו"
SENTENCE = "hˈu tsafˈa besˈeʁet veʁaʔˈa χajˈa ʃetsˈafa bamˈajim, veʔaχˈaʁ kˈaχ halˈaχ habˈajta liʃˈon"


class TestWholeEvaluation:
    def shown(self, references, predictions, separated, untrained=None, **options):
        stream = io.StringIO()
        examples, found = evaluation(references, predictions, separated, **options)
        before = evaluation(references, untrained, separated)[1] if untrained else None
        show_evaluation(examples, found, model="a/model", data="t.tsv", untrained=before, stream=stream)
        return stream.getvalue()

    def test_all_of_it(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", str(WIDTH))
        text = self.shown(["a b a", "k a"], ["a bː a", "k a"], "phones", ["", ""], too_long=[2], cut_off=3)
        assert text.splitlines()[:2] == ["a/model on t.tsv", "2 rows in 1 min 15 s, greedy, fp32, 32 at once"]
        assert rows_of(text)["PER"][:2] == ["100.0%", "20.0%"]
        assert "too long for the model, scored as unanswered: line 2\n" in text
        assert "answers cut off at 64 tokens (--max_new_tokens): 3\n" in text
        assert "   1  1 of 3  a [b→bː] a                     prompt 1" in text
        assert "b      bː              1   1" in text
        assert text.index("the worst rows") < text.index("phones taken for others")

    def test_nothing_wrong_leaves_the_lists_out(self):
        text = self.shown(["a"], ["a"], "phones")
        assert "the worst rows" not in text
        assert "taken for others" not in text
        assert "rate" in text

    def test_many_lines_that_are_too_long_are_counted(self):
        text = self.shown(["a"] * 12, [""] * 12, "phones", too_long=list(range(1, 13)))
        assert "unanswered: lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more" in " ".join(text.split())

    @pytest.mark.parametrize(("separated", "rows"), [("words", 6), ("phones", 5), (None, 2)])
    def test_it_fits_a_terminal_of_80(self, monkeypatch, separated, rows):
        monkeypatch.setenv("COLUMNS", str(WIDTH))
        wrong = SENTENCE.replace("e", "i").replace("ts", "s")
        text = self.shown([SENTENCE] * 40, [wrong] * 40, separated, [""] * 40, prompts=[HEBREW] * 40)
        assert max(cell_len(line) for line in text.splitlines()) <= WIDTH
        scores = text[text.index("errors") : text.index("in brackets")]
        assert len(scores.splitlines()) == 1 + rows  # none of them is broken

    def test_it_can_be_read_without_colour(self):
        _, found = evaluation(["a b a"], ["a bː a"], "phones")
        plain_text = printed(worst_table(found.worst, "phones"), color_system=None)
        painted = printed(
            worst_table(found.worst, "phones"), color_system="standard", force_terminal=True, no_color=False
        )
        assert "a [b→bː] a" in plain_text
        assert "\x1b[1;31m[b→bː]\x1b[0m" in painted


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "separated", "shown"),
        [
            ([[("ɒ", "ɒ"), ("b", "bː"), ("ɒ", "ɒ")]], "phones", "ɒ [b→bː] ɒ"),
            ([[("a", None), ("b", "b"), (None, "ts")]], "phones", "[a→] b [→ts]"),
            ([[("h", "h"), ("u", "i")], [("ts", "s"), ("a", "a")]], "words", "h[u→i] [ts→s]a"),
            ([[("a", "a")], [(None, "b"), (None, "c")]], "words", "a [→bc]"),
            ([[("f", "d"), ("o", "i"), ("x", None), ("!", "!")]], None, "[fox→di]!"),
            ([[("a", "a"), (" ", None), ("\n", "\t"), ("b", "b")]], None, "a[␣\\n→\\t]b"),
            ([], "words", ""),
            ([[]], None, ""),
        ],
    )
    def test_edits_in_brackets(self, words, separated, shown):
        assert edits_text(words, separated).plain == shown

    def test_a_long_right_part_is_left_out_between_words(self):
        text = "one two three four five six seven eight nine ten eleven twelve"
        right = [(character, character) for character in text]
        assert edits_text([[("a", "b"), *right, ("c", "d"), *right]], None).plain == (
            "[a→b]one two three ... eleven twelve[c→d]one two three ..."
        )
        assert edits_text([[*right]], None).plain == "..."

    def test_what_is_all_wrong_is_cut(self):
        shown = edits_text([[("a", "b")] * 500], "phones").plain
        assert shown.endswith(" ...")
        assert len(shown) < 260

    def test_nothing_reaches_the_terminal_that_it_obeys(self):
        assert plain("a\x1b[31m\r\n\tב\u200dc") == "a\\x1b[31m\\r\\n\\tב\u200dc"
        _, found = evaluation(["a\x1bb"], ["[red]\x07"], None, prompts=["[bold]\x1b]0;x\x07"])
        text = printed(worst_table(found.worst, None)) + printed(confusion_table(found.confusions))
        assert not any(unicodedata.category(character) == "Cc" for character in text.replace("\n", ""))
        assert "[bold]" in text

    def test_text_from_right_to_left_moves_nothing_that_follows(self):
        assert clip("שלום") == "שלום" + LEFT_TO_RIGHT
        assert clip("shalom") == "shalom"
        _, found = evaluation(["אב"], ["אג"], None)
        (_, line, *_) = printed(confusion_table(found.confusions)).splitlines()
        assert line.split() == ["ב" + LEFT_TO_RIGHT, "ג" + LEFT_TO_RIGHT, "1", "1"]
        assert edits_text([[("ב", "ג")]], None).plain == f"[ב{LEFT_TO_RIGHT}→ג{LEFT_TO_RIGHT}]"

    def test_what_was_added_or_left_out_is_taken_for_nothing(self):
        _, found = evaluation(["a b", "k"], ["a", "k o"], "phones")
        lines = [line.split() for line in printed(confusion_table(found.confusions)).splitlines()]
        assert lines == [["truth", "prediction", "times", "of"], ["nothing", "o", "1", "3"], ["b", "nothing", "1", "1"]]

    def test_a_wide_table_of_scores(self):
        """Counts of a large file stay on their lines, beside an untrained model that says too much."""
        words = " ".join(["ˈabcde"] * 40)
        _, before = evaluation([words] * 200, [words + words] * 200, "words")
        _, after = evaluation([words] * 200, [words.replace("e", "i")] * 200, "words")
        text = printed(score_table([("untrained", before.scores), ("trained", after.scores)]))
        assert len(text[: text.index("in brackets")].splitlines()) == 7

    def test_a_narrow_terminal_loses_no_edit(self):
        """The counts give way at 60 columns; what is wrong is folded, not cut."""
        truth, said = "ʔanaχnuʁotsimliʃtot" * 3, "xyzxyzxyzxyzxyzxyz" * 3
        examples, found = evaluation([truth], [said], "words", ["a prompt of twenty-two"])
        stream = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", "60")
            show_evaluation(examples, found, model="run", data="held_out.tsv", untrained=found, stream=stream)
        text = stream.getvalue()
        assert max(map(cell_len, text.splitlines())) <= 60
        assert "…" not in text.split("the worst rows")[1].split("taken for others")[0]
        assert rows_of(text)["PER"] == ["100.0%", "100.0%", "(100.0", "to", "100.0)"]


def test_a_rate_with_its_interval():
    assert format_rate(rate_of([(1, 20)])) == "5.0% (5.0 to 5.0)"
