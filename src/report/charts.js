"use strict";

// What the report is made of: elements, numbers as text, looks, charts and tables. report.js uses it.

const root = document.documentElement;
const missing = "\u2013";

// ---- elements: text from the data only ever becomes text nodes

const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A section is left out when write() adds nothing to it.
function section(title, write) {
  const body = el("section", {}, el("h2", {}, title));
  document.getElementById("report").append(body);
  write(body);
  if (body.children.length === 1) body.remove();
}

// ---- numbers as text

const has = (value) => typeof value === "number" && Number.isFinite(value);
const orMissing = (format) => (value) => (has(value) ? format(value) : missing);
const plain = orMissing((value) => value.toLocaleString("en", { maximumFractionDigits: 2 }));
const whole = orMissing((value) => Math.round(value).toLocaleString("en"));
const digits = orMissing((value) => String(Number(value.toPrecision(4))));
const percent = orMissing((value) => `${(100 * value).toFixed(2)}\u00a0%`);
const time = orMissing((value) => `${value.toFixed(value < 10 ? 2 : 1)}\u00a0s`);
const bytes = orMissing((value) => {
  const power = Math.min(4, Math.max(0, Math.floor(Math.log10(value || 1) / 3)));
  const number = value / 1000 ** power;
  const decimals = power === 0 || number >= 100 ? 0 : number >= 10 ? 1 : 2;
  return `${number.toFixed(decimals)}\u00a0${["B", "kB", "MB", "GB", "TB"][power]}`;
});
const percentWithin = (value, half) =>
  has(value) && has(half)
    ? `${(100 * value).toFixed(2)} \u00b1 ${(100 * half).toFixed(2)}\u00a0%`
    : percent(value);
const dateText = (text) => {
  const date = new Date(text);
  return Number.isNaN(date.getTime())
    ? String(text)
    : date.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" }) + " UTC";
};

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanOfKnown = (values) => (values.some(has) ? mean(values.filter(has)) : null);
const distinct = (values) => [...new Set(values)];
const plural = (count, word) => `${whole(count)} ${word}${count === 1 ? "" : "s"}`;

// ---- looks: a colour, a shape and a dash for each series, the same on the whole page

const shapes = [
  "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
  "M-.9-.9H.9V.9H-.9Z",
  "M0-1.1L1.1.9H-1.1Z",
  "M0-1.3L1.1 0L0 1.3L-1.1 0Z",
  "M0 1.1L1.1-.9H-1.1Z",
  "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
  "M-1.1-.6L-.6-1.1L0-.5L.6-1.1L1.1-.6L.5 0L1.1.6L.6 1.1L0 .5L-.6 1.1L-1.1.6L-.5 0Z",
  "M-1.1-1.1H1.1L-1.1 1.1H1.1Z",
];
const dashes = [[], [9, 4], [3, 3], [12, 3, 3, 3], [6, 2]];
const look = (i) => ({
  colour: `c${i % shapes.length}`,
  shape: shapes[i % shapes.length],
  dash: dashes[(i + Math.floor(i / shapes.length)) % dashes.length],
});
const inCss = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

function swatch({ colour, shape, dash }) {
  const picture = svg(
    "svg",
    { class: "swatch", width: 30, height: 12, viewBox: "-15 -6 30 12", "aria-hidden": "true" },
    svg("path", { d: "M-15 0H15", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": dash }),
    svg("path", { d: shape, transform: "scale(4)", fill: "currentColor" }),
  );
  picture.style.color = `var(--${colour})`;
  return picture;
}

const named = (name, style) => el("span", { class: "named" }, swatch(style), name);

// ---- axes

// An axis is { format, tickScale, tick, log, ticks, counts, most }: how a value and a tick are written, the
// base of a logarithmic scale, what chooses the ticks where uPlot does not, whether it counts something, and
// where it ends.
const linear = (format, tickScale = 1) => ({ format, tickScale });
const percentAxis = { ...linear(percent, 100), most: 1 };
const epochAxis = { ...linear(digits), counts: true };
const exchangeAxis = { ...linear(whole), counts: true };
const logarithmic = (format) => ({ format, tick: withoutZeros(format), log: 10, ticks: logTicks });
const withoutZeros = (format) => (value) => format(value).replace(/\.0+(?!\d)/, "");
const periodAxis = (periods) => ({ format: whole, tick: String, log: 2, ticks: () => periods });

// Losses and distances fall by orders of magnitude, or stay about where they are.
function fittingAxis(series) {
  const [least, most] = reach(series, (point) => [point.y]);
  return least > 0 && most > 10 * least ? logarithmic(digits) : linear(digits);
}

// The finest round numbers of which no more than `most` are between min and max.
function logTicks(min, max, most) {
  const oneToTen = (step) => Array.from({ length: Math.round(9 / step) }, (_, i) => 1 + i * step);
  for (const steps of [oneToTen(0.1), oneToTen(0.5), oneToTen(1), [1, 2, 5], [1, 3], [1]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); ++power) {
      found.push(...steps.map((step) => Number((step * 10 ** power).toPrecision(3))));
    }
    const ticks = found.filter((value) => value >= min && value <= max);
    if (ticks.length <= most || steps.length === 1) return ticks;
  }
}

function tickTexts(axis, plot, values, index, increment) {
  if (axis.log) return withoutCrowding(plot, plot.axes[index].scale, values, axis.tick);
  const decimals = decimalsOf(increment * axis.tickScale);
  return values.map((value) => (value * axis.tickScale).toFixed(decimals));
}

function decimalsOf(step) {
  let decimals = 0;
  while (decimals < 8 && Math.abs(step - Number(step.toFixed(decimals))) > step / 1e6) ++decimals;
  return decimals;
}

// Epochs and exchanges are counted in whole numbers, unless little more than one of them is in view.
const countingSteps = (plot, index, min, max) => [
  ...(max - min < 2 ? [0.1, 0.2, 0.5] : []),
  ...[1, 10, 100, 1000, 1e4, 1e5, 1e6].flatMap((power) => [power, 2 * power, 5 * power]),
];

function withoutCrowding(plot, scale, values, format) {
  const apart = scale === "x" ? 24 : 14;
  let last = -Infinity;
  return values.map((value) => {
    const place = (scale === "x" ? 1 : -1) * plot.valToPos(value, scale);
    if (place - last < apart) return "";
    last = place;
    return format(value);
  });
}

const drawnAxis = (axis, scale, label) => ({
  scale,
  label,
  labelSize: 22,
  size: scale === "x" ? 32 : 58,
  font: "12px system-ui, sans-serif",
  labelFont: "12px system-ui, sans-serif",
  stroke: () => inCss("quiet"),
  grid: { stroke: () => inCss("line"), width: 1 },
  ticks: { stroke: () => inCss("line"), width: 1, size: 5 },
  values: (plot, values, index, space, increment) => tickTexts(axis, plot, values, index, increment),
  ...(axis.counts && { incrs: countingSteps }),
  ...(axis.ticks && {
    splits: (plot, index, min, max) => {
      const length = scale === "x" ? plot.bbox.width / 72 : plot.bbox.height / 28;
      return axis.ticks(min, max, Math.max(2, length / devicePixelRatio));
    },
    filter: (plot, values) => values,
  }),
});

// room: the factor by which a logarithmic scale reaches beyond the data, which lie between least and most.
const drawnScale = (axis, room, [least, most]) => ({
  time: false,
  ...(axis.log && {
    distr: 3,
    log: axis.log,
    range: (plot, min, max) => [Math.max(min, least) / room, Math.min(max, most) * room],
  }),
});

// With the borders in view, unless a part is enlarged.
function horizontalScale(chart) {
  const [least, most] = reach(chart.series, ({ x }) => [x]);
  const places = chart.lines.map(({ x }) => x);
  if (places.length === 0) return drawnScale(chart.x, 1.3, [least, most]);
  return {
    time: false,
    range: (plot, min, max) =>
      min === least && max === most ? [Math.min(least, ...places), Math.max(most, ...places)] : [min, max],
  };
}

// Unless it is logarithmic, the vertical scale has room for the intervals, too, of what is shown.
function verticalScale(chart) {
  if (chart.y.log)
    return drawnScale(
      chart.y,
      1.1,
      reach(chart.series, (point) => [point.y]),
    );
  const ends = ({ y, half }) => (has(y) ? [y - (half ?? 0), y + (half ?? 0)] : []);
  const intervals = chart.series.some((one) => one.points.some((point) => has(point.half)));
  return {
    range: (plot, min, max) => {
      const shown = chart.series.filter((one, i) => plot.series[i + 1].show);
      return roomy(intervals && shown.length > 0 ? reach(shown, ends) : [min, max], chart.y.most);
    },
  };
}

function roomy([low, high], most = Infinity) {
  if (low === null || (low === 0 && high === 0)) return [0, 1];
  const room = high > low ? 0.1 * (high - low) : 0.02 * Math.abs(low);
  return [low >= 0 ? Math.max(0, low - room) : low - room, Math.max(high, Math.min(high + room, most))];
}

function reach(series, values) {
  const all = series.flatMap((one) => one.points.flatMap(values)).filter(has);
  return all.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}

// ---- charts
//
// A chart is { title, says, label, x, y, near, series, borders },
// a series { name, style, points, marks, joined, apart }, a point { x, y, half, note, mark }.
// near: within how many pixels the mouse finds a point; marks: a shape at every point; joined: the line
// follows the order of the points, not of x; apart: how far beside its place, in hundredths of the width,
// the series is drawn so that intervals do not cover each other.
// borders: { says, lines }, vertical lines { x, name } in their order, and what they mean.

const charts = new Set();

const smoothlySized = new ResizeObserver((entries) =>
  requestAnimationFrame(() => entries.forEach(({ target }) => fit(target))),
);

function fit(box, width = box.clientWidth) {
  for (const chart of charts) {
    if (chart.box === box && width > 0 && chart.plot.width !== width) {
      chart.plot.setSize({ width, height: chart.plot.height });
    }
  }
  root.dataset.overflow = root.scrollWidth > innerWidth;
}

function addChart(parent, chart) {
  chart.series = chart.series.filter((one) => one.points.some((point) => has(point.y)));
  if (chart.series.length === 0) return;
  if (typeof chart.y === "function") chart.y = chart.y(chart.series);
  const box = el("div", { class: "plot" });
  chart.lines = (chart.borders?.lines ?? []).filter(({ x }) => has(x));
  if (chart.lines.length > 0) chart.says += ` ${chart.borders.says}`;
  const scaleNote = chart.y.log ? " The vertical scale is logarithmic." : "";
  parent.append(
    el(
      "figure",
      {},
      el("figcaption", {}, el("h3", {}, chart.title), el("p", { class: "quiet" }, chart.says + scaleNote)),
      box,
      valuesOf(chart),
    ),
  );
  const plot = draw(chart, box);
  charts.add({ box, plot });
  smoothlySized.observe(box);
}

function removeCharts(parent) {
  for (const chart of charts) {
    if (!parent.contains(chart.box)) continue;
    smoothlySized.unobserve(chart.box);
    chart.plot.destroy();
    charts.delete(chart);
  }
  parent.replaceChildren();
}

function draw(chart, box) {
  const drawable = ({ y }) => (chart.y.log && y <= 0 ? null : y);
  const data = uPlot.join(
    chart.series.map(({ points }) => {
      const inOrder = [...new Map(points.map((point) => [point.x, point])).values()].sort(
        (a, b) => a.x - b.x,
      );
      return [inOrder.map((point) => point.x), inOrder.map(drawable)];
    }),
  );
  return new uPlot(
    {
      width: box.clientWidth || 320,
      height: 280,
      scales: {
        x: horizontalScale(chart),
        y: verticalScale(chart),
      },
      axes: [drawnAxis(chart.x, "x", chart.label), drawnAxis(chart.y, "y")],
      cursor: {
        points: { show: !chart.series.some((one) => one.apart) },
        hover: { prox: chart.near ?? null },
      },
      legend: { markers: { show: false, stroke: () => "", fill: () => "" } },
      series: [
        { label: chart.label, value: (plot, value) => chart.x.format(value) },
        ...chart.series.map((one) => drawnSeries(chart, one)),
      ],
      hooks: {
        drawAxes: [(plot) => drawBorders(plot, chart.lines)],
        drawSeries: [(plot, index) => drawMarks(plot, chart.series[index - 1])],
        ready: [(plot) => makeAccessible(plot, chart), (plot) => reserveRoom(plot, chart)],
      },
    },
    data,
    box,
  );
}

function drawnSeries(chart, one) {
  const atX = new Map(one.points.map((point) => [point.x, point]));
  const dense = one.points.length > 400;
  const marked = one.marks || one.points.some((point) => point.mark);
  return {
    label: named(one.name, marked ? one.style : { ...one.style, shape: "" }),
    stroke: () => inCss(one.style.colour),
    width: dense ? 1 : 1.75,
    dash: dense ? [] : one.style.dash,
    points: { show: false },
    value: (plot, value, series, index) =>
      pointText(chart, index === null ? null : atX.get(plot.data[0][index])),
    ...(one.joined && { paths: () => null }),
  };
}

function pointText(chart, point) {
  if (!point) return missing;
  if (point.note) return `${chart.y.format(point.y)} (${point.note})`;
  return has(point.half) ? percentWithin(point.y, point.half) : chart.y.format(point.y);
}

// Behind the data, with the names above; names that would touch become one: "2–4".
function drawBorders(plot, lines) {
  const { ctx, bbox } = plot;
  const pixel = devicePixelRatio;
  const shown = lines
    .map(({ x, name }) => ({ place: Math.floor(plot.valToPos(x, "x", true)) + pixel / 2, name }))
    .filter(({ place }) => place >= bbox.left && place <= bbox.left + bbox.width);
  if (shown.length === 0) return;

  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = inCss("quiet");
  ctx.lineWidth = pixel;
  ctx.setLineDash([4 * pixel, 3 * pixel]);
  for (const { place } of shown) ctx.stroke(new Path2D(`M${place} ${bbox.top}v${bbox.height}`));
  ctx.font = `${11 * pixel}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "bottom";
  for (const { place, text } of withoutTouching(ctx, shown)) ctx.fillText(text, place, bbox.top - 2 * pixel);
  ctx.restore();
}

function withoutTouching(ctx, shown) {
  const groups = [];
  const textOf = ({ first, last }) => (first === last ? first.name : `${first.name}\u2013${last.name}`);
  const middle = ({ first, last }) => (first.place + last.place) / 2;
  const half = (group) => ctx.measureText(textOf(group)).width / 2 + 3 * devicePixelRatio;
  const touch = (a, b) => middle(b) - middle(a) < half(a) + half(b);
  for (const line of [...shown].sort((a, b) => a.place - b.place)) {
    let group = { first: line, last: line };
    while (groups.length > 0 && touch(groups[groups.length - 1], group))
      group = { first: groups.pop().first, last: line };
    groups.push(group);
  }
  return groups.map((group) => ({ place: middle(group), text: textOf(group) }));
}

function drawMarks(plot, one) {
  const marked = one.points.filter((point) => has(point.y) && (one.marks || point.mark));
  if (marked.length === 0) return;
  const { ctx, bbox } = plot;
  const pixel = devicePixelRatio;
  const place = (point, y = point.y) => [
    plot.valToPos(point.x, "x", true) + (bbox.width / 100) * (one.apart ?? 0),
    plot.valToPos(y, "y", true),
  ];
  const radius = pixel * Math.min(4.5, Math.max(2, bbox.width / pixel / one.points.length / 2));

  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - 6 * pixel, bbox.top - 6 * pixel, bbox.width + 12 * pixel, bbox.height + 12 * pixel);
  ctx.clip();
  ctx.strokeStyle = ctx.fillStyle = inCss(one.style.colour);
  ctx.lineWidth = 1.75 * pixel;
  if (one.joined) {
    ctx.setLineDash(one.style.dash.map((length) => length * pixel));
    ctx.stroke(lineThrough(marked.map((point) => place(point))));
    ctx.setLineDash([]);
  }
  for (const point of marked) {
    if (has(point.half))
      ctx.stroke(interval(place(point, point.y - point.half), place(point, point.y + point.half)));
    drawShape(ctx, one.style.shape, place(point), radius);
  }
  ctx.restore();
}

function lineThrough(places) {
  const path = new Path2D();
  places.forEach(([x, y]) => path.lineTo(x, y));
  return path;
}

function interval([x, low], [, high]) {
  const cap = 3 * devicePixelRatio;
  return new Path2D(`M${x - cap} ${low}H${x + cap}M${x} ${low}V${high}M${x - cap} ${high}H${x + cap}`);
}

function drawShape(ctx, shape, [x, y], radius) {
  ctx.save();
  ctx.translate(x, y);
  ctx.scale(radius, radius);
  ctx.fill(new Path2D(shape));
  ctx.restore();
}

// uPlot's legend knows the mouse only.
function makeAccessible(plot, chart) {
  plot.ctx.canvas.setAttribute("role", "img");
  plot.ctx.canvas.setAttribute("aria-label", `${chart.title}. ${chart.says}`);
  for (const label of [...plot.root.querySelectorAll(".u-series th")].slice(1)) {
    label.tabIndex = 0;
    label.setAttribute("role", "button");
    label.title = "Hide or show";
    label.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      label.click();
    });
  }
}

// So that the legend, and with it the page, stands still while values come and go.
function reserveRoom(plot, chart) {
  const texts = [
    plot.data[0].map(chart.x.format),
    ...chart.series.map((one) => one.points.map((point) => pointText(chart, point))),
  ];
  plot.root.querySelectorAll(".u-value").forEach((cell, i) => {
    const longest = texts[i].reduce((most, text) => Math.max(most, text.length), 0);
    cell.style.minWidth = `${0.9 * longest}ch`;
  });
}

// The same values as text, made when asked for.
function valuesOf(chart) {
  const most = 500;
  const details = el("details", {}, el("summary", {}, "Values as a table"));
  details.addEventListener(
    "toggle",
    () => {
      const rows = chart.series.flatMap((one) => one.points.map((point) => ({ one, point })));
      const columns = [
        { name: "Series", head: true, cell: ({ one }) => one.name },
        { name: chart.label, number: true, cell: ({ point }) => chart.x.format(point.x) },
        { name: chart.title, number: true, cell: ({ point }) => pointText(chart, point) },
      ];
      details.append(sheet(columns, rows.slice(0, most)));
      if (rows.length > most) details.append(`The first ${most} of ${whole(rows.length)} values.`);
    },
    { once: true },
  );
  return details;
}

function redraw() {
  for (const { plot } of charts) plot.redraw(false);
}

function followTheme() {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("print").addEventListener("change", redraw);
  addEventListener("beforeprint", () => charts.forEach(({ box }) => fit(box, 640)));
  addEventListener("afterprint", () => charts.forEach(({ box }) => fit(box)));
}

// ---- tables
//
// A column is { name, cell, number, text, head, value }; with a value, rows can be sorted by it.

function sheet(columns, rows, rowClass = () => "") {
  const body = el("tbody");
  const show = (sorted) =>
    body.replaceChildren(
      ...sorted.map((row) =>
        el("tr", { class: rowClass(row) }, ...columns.map((column) => tableCell(column, row))),
      ),
    );
  show(rows);
  const head = el("tr");
  head.append(
    ...columns.map((column) => headCell(column, head, (order) => show(sortedBy(column, rows, order)))),
  );
  return el(
    "div",
    { class: "scroll", tabindex: 0 },
    el("table", { class: "figuresheet" }, el("thead", {}, head), body),
  );
}

const kindOf = (column) => (column.number ? "number" : column.text ? "text" : "");

function tableCell(column, row) {
  const attributes = { class: kindOf(column), ...(column.head && { scope: "row" }) };
  return el(column.head ? "th" : "td", attributes, column.cell(row));
}

function headCell(column, head, sort) {
  const cell = el("th", { scope: "col", class: kindOf(column) });
  if (!column.value) {
    cell.append(column.name);
    return cell;
  }
  const button = el("button", { type: "button" }, column.name);
  button.addEventListener("click", () => {
    const order = cell.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of head.children) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", order);
    sort(order);
  });
  cell.append(button);
  return cell;
}

function sortedBy({ value }, rows, order) {
  const known = (row) => value(row) !== null && value(row) !== undefined;
  const up = (a, b) =>
    typeof value(a) === "string" ? value(a).localeCompare(value(b)) : value(a) - value(b);
  const sorted = rows.filter(known).sort(order === "ascending" ? up : (a, b) => up(b, a));
  return [...sorted, ...rows.filter((row) => !known(row))];
}
