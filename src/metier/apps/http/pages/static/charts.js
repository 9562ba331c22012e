// Charts: uPlot in the page's own colours. Each reads its values from data attributes.
"use strict";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = "12px system-ui, sans-serif";
const made = [];

function short(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1);
  return String(Number(value.toPrecision(size < 1 ? 3 : 4)));
}

const axis = (more) => ({
  stroke: colour("--soft"), font: FONT, grid: { stroke: colour("--line"), width: 1 },
  ticks: { show: false }, gap: 4, ...more,
});

// A value per cycle, its interval as a whisker, the goal as a dashed line.
function cyclesChart(box) {
  const { points, goal } = JSON.parse(box.dataset.values);
  const whiskers = (plot) => {
    const { ctx } = plot, pixel = devicePixelRatio || 1;
    const line = (x1, y1, x2, y2) => { ctx.beginPath(); ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); ctx.stroke(); };
    ctx.save();
    if (goal != null) {
      ctx.strokeStyle = colour("--bad"); ctx.lineWidth = 1.5 * pixel; ctx.setLineDash([5 * pixel, 4 * pixel]);
      const y = plot.valToPos(goal, "y", true);
      line(plot.bbox.left, y, plot.bbox.left + plot.bbox.width, y);
      ctx.setLineDash([]);
    }
    ctx.strokeStyle = colour("--s0"); ctx.lineWidth = 2 * pixel;
    for (const [cycle, , low, high] of points) {
      if (low == null || high == null) continue;
      const x = plot.valToPos(cycle, "x", true), end = 5 * pixel;
      const [y1, y2] = [low, high].map((value) => plot.valToPos(value, "y", true));
      line(x, y1, x, y2); line(x - end, y1, x + end, y1); line(x - end, y2, x + end, y2);
    }
    ctx.restore();
  };
  const heights = points.flatMap(([, value, low, high]) => [value, low, high]).concat([goal]).filter((v) => v != null);
  const margin = Math.max((Math.max(...heights) - Math.min(...heights)) * 0.12, 0.01);
  const cycles = points.map((point) => point[0]);
  const options = {
    width: box.clientWidth, height: 190, legend: { show: false }, cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: {
      x: { time: false, range: [Math.min(...cycles) - 0.5, Math.max(...cycles) + 0.5] },
      y: { range: [Math.min(...heights) - margin, Math.max(...heights) + margin] },
    },
    axes: [
      axis({ size: 30, splits: () => cycles, values: (_, all) => all.map((cycle) => `cycle ${cycle}`), grid: { show: false } }),
      axis({ size: 52, values: (_, all) => all.map(short) }),
    ],
    series: [{}, {
      stroke: colour("--s0"), width: 1.5, dash: [2, 4],
      points: { show: true, size: 9, fill: colour("--s0"), stroke: colour("--card"), width: 2 },
    }],
    hooks: { draw: [whiskers] },
  };
  return [new uPlot(options, [cycles, points.map((point) => point[1])], box)];
}

// The curves of a run: losses together in one large plot, every other series in its own. A series
// with _low and _high beside it is drawn with that band around it; its _n stands in the caption.
const ASIDE = /_(low|high|n)$/;

class Curves {
  constructor(box) {
    this.box = box;
    this.series = new Map();
    this.plots = new Map();
    this.add(JSON.parse(box.dataset.points));
  }

  add(points) {
    for (const [name, step, value] of points) {
      if (!this.series.has(name)) this.series.set(name, new Map());
      this.series.get(name).set(step, value);
    }
    this.draw();
  }

  groups() {
    const banded = (name) => this.series.has(`${name}_low`) && this.series.has(`${name}_high`);
    const every = [...this.series.keys()];
    const names = every.filter((name) => !(ASIDE.test(name) && banded(name.replace(ASIDE, ""))));
    const losses = names.filter((name) => name.endsWith("loss"));
    const first = (name) => (name.startsWith("validation") ? 0 : 1);
    const rest = names.filter((name) => !losses.includes(name)).sort((a, b) => first(a) - first(b))
      .map((name) => [name, banded(name) ? [`${name}_low`, `${name}_high`, name] : [name]]);
    return losses.length ? [["Loss", losses], ...rest] : rest;
  }

  data(names) {
    const steps = new Set(names.flatMap((name) => [...this.series.get(name).keys()]));
    const xs = [...steps].sort((a, b) => a - b);
    return [xs, ...names.map((name) => xs.map((x) => this.series.get(name).get(x) ?? null))];
  }

  draw() {
    for (const [title, names] of this.groups()) {
      const key = `${title}:${names.join()}`;
      const old = this.plots.get(title);
      if (old && old.key === key) { old.plot.setData(this.data(names)); this.showLast(old.plot); continue; }
      if (old) { old.plot.destroy(); old.figure.remove(); }
      this.plots.set(title, this.make(title, names, key));
    }
  }

  make(title, names, key) {
    const main = title === "Loss";
    const figure = document.createElement("figure");
    if (main) figure.className = "wide";
    const caption = document.createElement("figcaption");
    caption.textContent = title.replaceAll("_", " ");
    const counts = this.series.get(`${title}_n`), band = names[0] === `${title}_low`;
    if (band && counts) {
      const note = document.createElement("span");
      note.className = "quiet";
      note.textContent = ` n ${[...counts.values()].at(-1)}, 95% interval`;
      caption.append(note);
    }
    const holder = document.createElement("div");
    holder.className = main ? "plot main" : "plot";
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", `${names.join(" and ").replaceAll("_", " ")} by step; the figures are in the table below`);
    figure.append(caption, holder);
    main ? this.box.prepend(figure) : this.box.append(figure);
    const options = {
      width: holder.clientWidth, height: main ? 270 : 180, padding: [8, 10, 0, 0],
      legend: { show: true, live: true }, cursor: { points: { size: 6 }, drag: { x: true, y: false } },
      scales: { x: { time: false } },
      axes: [axis({ size: 30, values: (_, all) => all.map((step) => (Number.isInteger(step) ? step : "")) }), axis({ size: 58, values: (_, all) => all.map(short) })],
      series: [{ label: "step" }, ...names.map((name, index) => ({
        label: band && name !== title ? name.replace(`${title}_`, "") : name.replaceAll("_", " "), spanGaps: true,
        stroke: colour(band ? "--s0" : `--s${index % 4}`), width: band && name !== title ? 0 : 2,
        dash: index && !band ? [7, 4] : undefined, value: (_, value) => short(value),
        points: { show: (plot, i) => !(band && i < 3) && plot.data[i].filter((value) => value != null).length < 25, size: 5 },
      }))],
      bands: band ? [{ series: [2, 1], fill: colour("--accent-soft") }] : [],
    };
    const plot = new uPlot(options, this.data(names), holder);
    this.showLast(plot);
    return { key, figure, plot, holder };
  }

  // Until the pointer asks for another step, the legend tells each series' last value.
  showLast(plot) {
    const idxs = plot.data.map((values) => { let i = values.length - 1; while (i > 0 && values[i] == null) i -= 1; return i; });
    requestAnimationFrame(() => plot.setLegend({ idxs }));
  }

  resize() {
    for (const { plot, holder } of this.plots.values()) plot.setSize({ width: holder.clientWidth, height: plot.height });
  }

  redraw() {
    for (const { plot, figure } of this.plots.values()) { plot.destroy(); figure.remove(); }
    this.plots.clear();
    this.draw();
  }
}

function drawAll() {
  for (const box of document.querySelectorAll('[data-chart="cycles"]')) {
    box.replaceChildren();
    made.push({ box, plots: cyclesChart(box) });
  }
}

const curvesBox = document.getElementById("curves");
if (curvesBox) window.curves = new Curves(curvesBox);
drawAll();

addEventListener("resize", () => {
  for (const { box, plots } of made) plots.forEach((plot) => plot.setSize({ width: box.clientWidth, height: plot.height }));
  if (window.curves) window.curves.resize();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  made.length = 0;
  drawAll();
  if (window.curves) window.curves.redraw();
});
