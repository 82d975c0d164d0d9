"use strict";
// A line under the pointer or, with the arrow keys, at a point, and what the curves say there. The page is whole without.
for (const plot of document.querySelectorAll(".plot[data-chart]")) {
  const chart = JSON.parse(plot.dataset.chart);
  const curves = JSON.parse(plot.closest("figure").dataset.series);
  const across = (x) => (x - chart.x[0]) / (chart.x[1] - chart.x[0]);
  const words = (value) => {
    if (value !== 0 && Math.abs(value) < chart.nothing) return "about 0";
    if (chart.percent) return (100 * value).toFixed(1) + "%";
    if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
    return value.toLocaleString("en", { maximumSignificantDigits: 4 });
  };
  const nearest = (points, x) => {
    let low = 0, high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle; else high = middle;
    }
    return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
  };
  const line = document.createElement("div");
  const box = document.createElement("div");
  line.className = "cross";
  box.className = "read";
  const spoken = document.createElement("div");  // a picture's own parts are not read aloud
  spoken.className = "hidden";
  spoken.setAttribute("role", "status");
  let place = null;
  const hide = () => { line.remove(); box.remove(); place = null; };
  const show = (x) => {
    const found = curves.map((one) => [one, nearest(one.points, x)]);
    const at = found.map(([, point]) => point[0]).reduce((a, b) => Math.abs(a - x) <= Math.abs(b - x) ? a : b);
    const head = document.createElement("div");
    head.textContent = `${chart.unit} ${at.toLocaleString("en")}`;
    box.replaceChildren(head);
    for (const [one, [step, value]] of found) {
      if (Math.abs(step - at) > 0.05 * (chart.x[1] - chart.x[0])) continue;
      const row = document.createElement("div");
      const dot = document.createElement("i");
      const figure = document.createElement("b");
      dot.style.background = `var(--${one.colour})`;
      figure.textContent = words(value);
      row.append(dot, one.name ? one.name + " " : "", figure, step === at ? "" : ` at ${step.toLocaleString("en")}`);
      box.append(row);
    }
    line.style.left = 100 * across(at) + "%";
    plot.append(line, box);
    const room = plot.getBoundingClientRect();
    const left = across(at) * room.width;
    box.style.left = Math.max(-30, left + (left > room.width / 2 ? -box.offsetWidth - 10 : 10)) + "px";
    place = at;
  };
  const point = (event) => {
    const room = plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - room.left) / room.width));
    show(chart.x[0] + share * (chart.x[1] - chart.x[0]));
  };
  const steps = [...new Set(curves.flatMap((one) => one.points.map(([x]) => x)))].sort((a, b) => a - b);
  const keys = (event) => {
    const last = steps.length - 1;
    const now = place === null ? last + 1 : steps.indexOf(place);
    const far = Math.max(1, Math.round(steps.length / 10));
    const to = {
      ArrowLeft: now - 1, ArrowRight: place === null ? 0 : now + 1, PageDown: now - far, PageUp: now + far, Home: 0, End: last,
    }[event.key];
    if (event.key === "Escape") hide();
    if (to === undefined) return;
    event.preventDefault();
    show(steps[Math.min(last, Math.max(0, to))]);
    spoken.textContent = [...box.children].map((row) => row.textContent).join(", ");
  };
  plot.tabIndex = 0;
  plot.after(spoken);
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("keydown", keys);
  plot.addEventListener("blur", hide);
}
