"""The page in a browser: no error, nothing loaded, every chart with its points, both themes, a phone's width."""

from __future__ import annotations

import time

import pytest

from browser import CHROMIUM, NO_CHROMIUM, Browser, a_browser
from made_runs import metrics, write_made_run
from sparksmith.report.compare import render_comparison
from sparksmith.report.page import State, write_run

pytestmark = [pytest.mark.effects, pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)]

POINTS = """
Object.fromEntries([...document.querySelectorAll("figure[id]")].map((figure) => [
  figure.id,
  [...figure.querySelectorAll(".plot")].map((plot) =>
    [...plot.querySelectorAll("path.curve")].map((path) => (path.getAttribute("d").match(/[ML]/g) || []).length)),
]))
"""
OVERFLOW = "document.scrollingElement.scrollWidth - innerWidth"
PAPER = "getComputedStyle(document.body).backgroundColor"
READOUT = """
(() => {
  const plot = document.querySelector("#chart-loss .plot");
  const room = plot.getBoundingClientRect();
  plot.dispatchEvent(new PointerEvent("pointermove", {clientX: room.left + room.width / 2, clientY: room.top + 9}));
  return plot.querySelector(".read").innerText;
})()
"""


# texts whose contrast with what lies behind them is below WCAG's AA; backgrounds are laid over each other
TOO_FAINT = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => under.map((value, at) => top[at] * top[3] + value * (1 - top[3]));
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || element.closest("script, svg") || !element.getClientRects().length) continue;
    const above = [];
    for (let one = element; one; one = one.parentElement) above.unshift(getComputedStyle(one).backgroundColor);
    const paper = above.map(rgba).reduce((under, top) => over(top, under), [255, 255, 255]);
    const ink = over(rgba(getComputedStyle(element).color), paper);
    const [dark, bright] = [light(ink), light(paper)].sort((a, b) => a - b);
    if ((bright + 0.05) / (dark + 0.05) < 4.5) found.push(`${element.className}: ${text.data.trim()}`);
  }
  return found;
})()
"""
# what goes beyond the window without standing in a box that can be scrolled
CUT = """
[...document.querySelectorAll("main *")]
  .filter((one) => !one.closest("svg, .scroll, .hidden") && one.getBoundingClientRect().right > innerWidth + 0.5)
  .map((one) => one.outerHTML)
"""
# labels at the ends of curves that lie over each other or over the plot
OVER = """
[...document.querySelectorAll(".plot")].filter((plot) => plot.offsetHeight).flatMap((plot) => {
  const labels = [...plot.querySelectorAll(".end")].map((one) => one.getBoundingClientRect());
  labels.sort((a, b) => a.top - b.top);
  const crowded = labels.slice(1).filter((one, at) => one.top < labels[at].bottom - 1);
  return [...crowded, ...labels.filter((one) => one.left < plot.getBoundingClientRect().right)];
}).length
"""
PRESS = """
(() => {
  const plot = document.querySelector("#chart-loss .plot");
  plot.focus();
  const read = (key) => {
    plot.dispatchEvent(new KeyboardEvent("keydown", {key}));
    return plot.querySelector(".read")?.innerText.split("\\n")[0] ?? "";
  };
  const said = ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "Escape"].map(read);
  return [plot.tabIndex, document.activeElement === plot, ...said];
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with a_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a whole run, of one that has just begun, and of two compared."""
    place = tmp_path_factory.mktemp("runs")
    run = write_made_run(place / "run")
    young = write_made_run(place / "young")
    for path in (young.metrics, young.events, young.evaluation, young.predictions, young.data):
        path.unlink()
    other = write_made_run(place / "other", steps=400)
    compared = place / "comparison.html"
    compared.write_text(render_comparison([run, other], [State("finished", "")] * 2), encoding="utf-8")
    return {"run": write_run(run), "young": write_run(young, State("running", "")), "compared": compared}


@pytest.mark.parametrize("name", ["run", "young", "compared"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (400, False), (400, True)])
def test_opens_everywhere(browser: Browser, pages, name, width, dark):
    browser.open(pages[name], width=width, dark=dark)
    assert browser.said == []
    assert browser.asked == [pages[name].as_uri()]  # not even an icon
    assert browser.ask(OVERFLOW) <= 0
    assert browser.ask(PAPER) == ("rgb(17, 20, 24)" if dark else "rgb(255, 255, 255)")
    assert browser.ask(TOO_FAINT) == []
    assert browser.ask(CUT) == []
    assert browser.ask(OVER) == 0


def test_every_chart_has_its_points(browser, pages):
    rows = metrics(600)
    train, held_out = sum("loss" in row for row in rows), sum("eval_loss" in row for row in rows)
    assert (train, held_out) == (60, 6)
    browser.open(pages["run"])
    assert browser.ask(POINTS) == {
        "chart-loss": [[60, 6], [60, 6]], "chart-errors": [[6] * 5, [6] * 5], "chart-learning_rate": [[60]],
        "chart-grad_norm": [[60]], "chart-tokens_per_second": [[60]], "chart-memory": [[60]],
    }  # fmt: skip


def test_every_run_of_a_comparison_has_its_points(browser, pages):
    browser.open(pages["compared"])
    found = browser.ask(POINTS)
    assert found["chart-loss"] == [[60, 40], [60, 40]]
    assert found["chart-eval_wer"] == [[6, 4]]


def test_the_curve_under_the_pointer_is_read_out(browser, pages):
    browser.open(pages["run"])
    loss = next(row["loss"] for row in metrics(600) if row["step"] == 300)
    words = browser.ask(READOUT).split("\n")
    assert words[0] == "step 300"
    assert words[1] == f"training {float(f'{loss:.4g}')}"
    assert words[2].startswith("held out ")


def test_the_arrow_keys_read_the_curves_too(browser, pages):
    browser.open(pages["run"])
    first, last = "step 10", "step 600"
    assert browser.ask(PRESS) == [0, True, first, "step 20", first, last, last, first, ""]
    spoken = "document.querySelector('#chart-loss [role=status]').textContent"
    assert browser.ask(spoken).startswith("step 10, training 2.8")


def test_on_paper_the_tables_stay_tables(browser, pages):
    browser.open(pages["run"], width=718, media="print")  # A4 without its margins
    assert browser.ask("getComputedStyle(document.querySelector('.scores tr')).display") == "table-row"
    assert browser.ask(CUT) == []
    heat = "document.querySelector('.heat').getBoundingClientRect().right"
    assert browser.ask(f"{heat} <= document.querySelector('.two > table').getBoundingClientRect().left")


def test_linear_and_log_without_a_script(browser, pages):
    browser.open(pages["run"], script=False)
    shown = '[...document.querySelectorAll("#chart-loss .plot")].filter((plot) => plot.offsetHeight).length'
    scale = '[...document.querySelectorAll("#chart-loss .plot")].find((plot) => plot.offsetHeight).dataset.scale'
    assert (browser.ask(shown), browser.ask(scale)) == (1, "linear")
    browser.ask('document.querySelector("label[for=log-loss]").click()')
    assert (browser.ask(shown), browser.ask(scale)) == (1, "log")


def test_print_is_light(browser, pages):
    browser.open(pages["run"], width=800, dark=True, media="print")
    assert browser.ask(PAPER) == "rgb(255, 255, 255)"
    assert browser.ask(OVERFLOW) <= 0


def test_a_script_in_the_data_does_not_run(browser, tmp_path):
    hostile = '</script><script>document.title = "owned"</script><img src=x onerror="document.title = \'owned\'">'
    run = write_made_run(tmp_path / "run", name=hostile, description=hostile)
    browser.open(write_run(run))
    time.sleep(0.1)  # an image that is not there would say so by now
    assert "owned" not in browser.ask("document.title").split(" · ")[-1]
    assert browser.ask("document.querySelectorAll('img').length") == 0
    assert (browser.said, len(browser.asked)) == ([], 1)
