"use strict";

// ---- parts that both kinds of report have

function figures(parent, entries) {
  const shown = entries.filter(([, value]) => value !== missing);
  if (shown.length === 0) return;
  parent.append(
    el(
      "dl",
      { class: "figures" },
      ...shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    ),
  );
}

function header(report) {
  document.title = report.title ?? "SwarmSync report";
  const made = report.created ? `Made by SwarmSync on ${dateText(report.created)}.` : "Made by SwarmSync.";
  document
    .getElementById("report")
    .append(
      el(
        "header",
        {},
        el("h1", {}, document.title),
        el("p", { class: "quiet" }, made),
        el(
          "p",
          { class: "quiet screen-only" },
          "Charts: point at one to read its values, click a name below it to hide or show that line, " +
            "drag across it to enlarge a part, double-click to see all of it again.",
        ),
      ),
    );
}

const parts = [
  ["setup", "setup", "c4"],
  ["data", "data", "c5"],
  ["compute", "training", "c2"],
  ["sync", "exchanges", "c1"],
  ["wait", "waiting", "c7"],
  ["evaluate", "evaluation", "c3"],
  ["checkpoint", "saving", "c0"],
];
const totalTime = (seconds) => parts.reduce((sum, [key]) => sum + (seconds?.[key] ?? 0), 0);

// rows: { name, seconds }
function timeBars(parent, rows, ...before) {
  const shown = rows.filter((row) => totalTime(row.seconds) > 0);
  if (shown.length === 0) return;
  const longest = Math.max(...shown.map((row) => totalTime(row.seconds)));
  const used = parts.filter(([key]) => shown.some((row) => row.seconds[key] > 0));
  const bars = el("div", { class: "bars", "aria-hidden": "true" });
  for (const { name, seconds } of shown) {
    bars.append(
      el("span", {}, name),
      el(
        "div",
        { class: "bar" },
        ...used.map(([key, meaning, colour]) => {
          const piece = el("span", { title: `${meaning}: ${time(seconds[key])}` });
          piece.style.background = `var(--${colour})`;
          piece.style.width = `${(100 * (seconds[key] ?? 0)) / longest}%`;
          return piece;
        }),
      ),
    );
  }
  parent.append(
    ...before,
    el("p", { class: "quiet" }, "Mean seconds that a worker spent on each part of a run."),
    bars,
    sheet(
      [
        { name: "", head: true, cell: (row) => row.name },
        ...used.map(([key, meaning, colour]) => ({
          name: block(meaning, colour),
          number: true,
          cell: (row) => time(row.seconds[key]),
        })),
        { name: "all", number: true, cell: (row) => time(totalTime(row.seconds)) },
      ],
      shown,
    ),
  );
}

function block(name, colour) {
  const square = el("span", { class: "block" });
  square.style.background = `var(--${colour})`;
  return el("span", { class: "named" }, square, name);
}

function settings(body, title, entries) {
  const rows = Object.entries(entries ?? {});
  if (rows.length === 0) return;
  const text = (value) =>
    value === null ? missing : typeof value === "object" ? JSON.stringify(value) : value;
  body.append(
    el(
      "details",
      {},
      el("summary", {}, title),
      sheet(
        [
          { name: "Name", head: true, cell: ([name]) => name },
          { name: "Value", text: true, cell: ([, value]) => String(text(value)) },
        ],
        rows,
      ),
    ),
  );
}

// ---- the report of one run

const points = (items, y) =>
  (items ?? [])
    .filter((item) => has(item.epoch) && has(y(item)))
    .map((item) => ({ x: item.epoch, y: y(item) }));
const line = (name, i, points) => ({ name, style: look(i), points, marks: points.length <= 40 });

function trainReport(report) {
  const run = report.runs?.[0] ?? {};
  const main = document.getElementById("report");
  if (run.status === "failed")
    main.append(el("p", { class: "warning" }, `This run failed: ${run.message ?? ""}`));
  figures(main, [
    ["Test accuracy", percent(run.test_accuracy)],
    ["Test loss", digits(run.test_loss)],
    ["Training loss, last epoch", digits(run.train_loss)],
    ["Exchanges", whole(run.rounds)],
    ["Membership changes", run.membership?.count > 0 ? whole(run.membership.count) : missing],
    ["Sent by each worker", bytes(run.bytes_sent_per_worker)],
    ["Time", run.seconds ? time(totalTime(run.seconds)) : missing],
    ["Samples a second, all workers", whole(run.samples_per_second)],
  ]);
  section("Training", (body) => learningCharts(body, run));
  section("The swarm", (body) => swarmCharts(body, run));
  section("Membership", (body) => membership(body, run.membership));
  section("Checkpoints that failed", (body) => failedCheckpoints(body, run.failed_checkpoints));
  section("Where the time went", (body) =>
    timeBars(body, [{ name: run.sync ?? "this run", seconds: run.seconds }]),
  );
}

function learningCharts(body, run) {
  const grid = el("div", { class: "charts" });
  addChart(grid, {
    title: "Loss",
    label: "epoch",
    x: epochAxis,
    y: fittingAxis,
    says: "The loss over the epochs; lower is better.",
    series: [
      line(
        "training, as it went",
        0,
        points(run.losses, (item) => item.loss),
      ),
      line(
        "training, mean of the epoch",
        2,
        points(run.epochs, (item) => item.train_loss),
      ),
      line(
        "validation",
        3,
        points(run.epochs, (item) => item.validation_loss),
      ),
      line(
        "test",
        1,
        points(run.epochs, (item) => item.test_loss),
      ),
    ],
    borders: generations(run, (event) => event.epoch),
  });
  addChart(grid, {
    title: "Accuracy (%)",
    label: "epoch",
    x: epochAxis,
    y: percentAxis,
    says: "The share of samples that are classified correctly after each epoch.",
    series: [
      line(
        "validation",
        3,
        points(run.epochs, (item) => item.validation_accuracy),
      ),
      line(
        "test",
        1,
        points(run.epochs, (item) => item.test_accuracy),
      ),
    ],
    borders: generations(run, (event) => event.epoch),
  });
  if (grid.children.length > 0) body.append(grid);
}

function swarmCharts(body, run) {
  const exchanges = run.exchanges ?? [];
  const grid = el("div", { class: "charts" });
  body.append(
    ...[leftOutNote(exchanges), bestNote(exchanges)].filter(Boolean).map((text) => el("p", {}, text)),
  );
  addChart(grid, {
    title: "Distance within the swarm",
    label: "epoch",
    x: epochAxis,
    y: fittingAxis,
    says:
      "spread: of the workers from their mean; displacement: what a worker's own steps moved it; " +
      "pull: what the exchange moved it; move: both together.",
    series: ["spread", "displacement", "pull", "move"].map((key, i) =>
      line(
        key,
        i + 1,
        points(exchanges, (item) => item[key]),
      ),
    ),
    borders: generations(run, (event) => event.epoch),
  });
  addChart(grid, {
    title: "Fitness of each worker",
    label: "exchange",
    x: exchangeAxis,
    y: fittingAxis,
    says: "The training loss of each worker in each round; lower is better. Marks: the best of a round.",
    series: fitnessSeries(exchanges),
    borders: generations(run, (event) => event.round + 0.5),
  });
  if (grid.children.length > 0) body.append(grid);
}

// Where each generation of the workers begins; x: of an event of the membership.
const generations = (run, x) => ({
  says: "Dashed lines: where another generation of workers begins.",
  lines: (run.membership?.first ?? []).map((event) => ({ x: x(event), name: plain(event.generation) })),
});

function fitnessSeries(exchanges) {
  const workers = exchanges.reduce((most, { fitness }) => Math.max(most, fitness?.length ?? 0), 0);
  return Array.from({ length: workers }, (_, worker) => ({
    name: `worker ${worker}`,
    style: look(worker),
    points: exchanges.map((exchange, i) => ({
      x: exchange.round ?? i + 1,
      y: exchange.fitness?.[worker] ?? null,
      mark: exchange.best === worker,
      note: exchange.best === worker ? "best" : "",
    })),
  }));
}

function countByWorker(ranks) {
  const counts = new Map();
  for (const rank of ranks) counts.set(rank, (counts.get(rank) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
}

function leftOutNote(exchanges) {
  const concerned = exchanges.filter((exchange) => exchange.left_out?.length > 0);
  if (concerned.length === 0) return null;
  const each = countByWorker(concerned.flatMap((exchange) => exchange.left_out)).map(
    ([rank, count]) => `worker ${rank} (${count === 1 ? "once" : `${whole(count)} times`})`,
  );
  return (
    `The guard left workers out of ${whole(concerned.length)} of ${plural(exchanges.length, "exchange")}: ` +
    `${each.join(", ")}.`
  );
}

function bestNote(exchanges) {
  const bests = exchanges.map((exchange) => exchange.best).filter((best) => has(best) && best >= 0);
  if (bests.length === 0) return null;
  const [[rank, count]] = countByWorker(bests);
  return `Worker ${rank} was the best most often: in ${whole(count)} of ${plural(bests.length, "round")}.`;
}

// events: { count, first }
function eventTable(body, columns, { count, first }) {
  body.append(sheet(columns, first));
  if (count > first.length) {
    const more = `The first ${whole(first.length)}; there were ${whole(count - first.length)} more.`;
    body.append(el("p", { class: "quiet" }, more));
  }
}

function membership(body, events) {
  if (!(events?.count > 0)) return;
  body.append(
    el(
      "p",
      {},
      `The workers changed ${events.count === 1 ? "once" : `${whole(events.count)} times`}. Each generation ` +
        "begins where the one before it ended; its workers are numbered anew, and its epochs may have another " +
        "number of steps.",
    ),
  );
  eventTable(
    body,
    [
      { name: "Generation", number: true, head: true, cell: (event) => plain(event.generation) },
      { name: "Step", number: true, cell: (event) => whole(event.step) },
      { name: "Epoch", number: true, cell: (event) => plain(event.epoch) },
      { name: "Workers in it", number: true, cell: (event) => whole(event.workers) },
      { name: "Reason", text: true, cell: (event) => event.reason ?? missing },
    ],
    events,
  );
}

function failedCheckpoints(body, events) {
  if (!(events?.count > 0)) return;
  eventTable(
    body,
    [
      { name: "Step", number: true, head: true, cell: (event) => whole(event.step) },
      { name: "Reason", text: true, cell: (event) => event.reason ?? missing },
    ],
    events,
  );
}

// ---- the report of a comparison

const usualOrder = ["ssgd", "average", "pso-ps", "informed-pso-ps", "easgd", "slowmo", "diloco", "leader"];
let synchronizers = [];
const lookOf = (sync) => look(synchronizers.indexOf(sync));

const done = (run) => run.status !== "failed";
const inOrder = (values) => distinct(values).sort((a, b) => a - b);

function compareReport(report) {
  const groups = report.groups ?? [];
  const runs = report.runs ?? [];
  const all = distinct([...groups, ...runs].map((item) => item.sync));
  synchronizers = [
    ...usualOrder.filter((sync) => all.includes(sync)),
    ...all.filter((sync) => !usualOrder.includes(sync)),
  ];
  const failed = runs.filter((run) => !done(run));
  const datasets = distinct(groups.map((group) => group.dataset));
  figures(document.getElementById("report"), [
    ["Data sets", whole(datasets.length)],
    ["Synchronizers", whole(synchronizers.length)],
    ["Groups", whole(groups.length)],
    ["Final runs", whole(runs.length)],
    ["Failed runs", whole(failed.length)],
  ]);
  for (const dataset of datasets) {
    section(`Results: ${dataset}`, (body) =>
      results(
        body,
        groups.filter((group) => group.dataset === dataset),
        report.baseline,
      ),
    );
  }
  section("One data set and period", (body) => chosenRuns(body, runs.filter(done)));
  section("Failed runs", (body) => {
    if (failed.length > 0) body.append(failedRuns(failed));
  });
}

function results(body, groups, baseline) {
  const best = highest(groups);
  if (best) {
    body.append(
      el(
        "p",
        {},
        `The highest mean: ${best.sync}${has(best.period) ? ` with period ${best.period}` : ""}, ` +
          `${percentWithin(best.accuracy, best.half_width)} test accuracy over ` +
          `${plural(best.seeds ?? 0, "seed")}. Intervals that overlap tell little about who is better.`,
      ),
    );
  }
  const grid = el("div", { class: "charts" });
  accuracyCharts(grid, groups);
  if (grid.children.length > 0) body.append(grid);
  body.append(groupTable(groups, baseline));
}

const highest = (groups) =>
  groups
    .filter((group) => has(group.accuracy))
    .reduce((best, group) => (best && best.accuracy >= group.accuracy ? best : group), null);

function accuracyCharts(grid, groups) {
  const periods = inOrder(groups.map((group) => group.period).filter((period) => period > 0));
  const says = "The mean over the seeds on the test set; the bars are 95\u00a0% intervals.";
  addChart(grid, {
    title: "Test accuracy (%) against period",
    label: "period",
    x: periodAxis(periods),
    y: percentAxis,
    says,
    near: 12,
    series: groupSeries(
      groups,
      (group) => group.period,
      () => "",
      0.9,
    ),
  });
  addChart(grid, {
    title: "Test accuracy (%) against bytes sent",
    label: "sent by a worker",
    x: logarithmic(bytes),
    y: percentAxis,
    says: `${says} Lines join the periods of a synchronizer.`,
    near: 40,
    series: groupSeries(
      groups,
      (group) => group.bytes,
      (group) => `period ${group.period}`,
      0,
    ),
  });
}

function groupSeries(groups, x, note, apart) {
  return synchronizers.map((sync, i) => ({
    name: sync,
    style: lookOf(sync),
    marks: true,
    joined: true,
    apart: apart * (i - (synchronizers.length - 1) / 2),
    points: groups
      .filter((group) => group.sync === sync && x(group) > 0 && has(group.accuracy))
      .sort((a, b) => a.period - b.period)
      .map((group) => ({ x: x(group), y: group.accuracy, half: group.half_width, note: note(group) })),
  }));
}

const aboveBaseline = ({ above_baseline: mean, above_baseline_half_width: half }) =>
  (mean > 0 ? "+" : "") + percentWithin(mean, half);

function groupTable(groups, baseline) {
  const withPeriod = (period) => groups.filter((group) => group.period === period);
  const isBest = (group) =>
    withPeriod(group.period).length > 1 && highest(withPeriod(group.period)) === group;
  const column = (name, key, format, more = {}) => ({
    name,
    number: true,
    value: (group) => group[key],
    cell: (group) => format(group[key]),
    ...more,
  });
  const columns = [
    column("Synchronizer", "sync", null, {
      head: true,
      number: false,
      cell: (group) => named(group.sync, lookOf(group.sync)),
    }),
    column("Period", "period", whole),
    column("Test accuracy \u00b1 95\u00a0%", "accuracy", null, {
      cell: (group) => percentWithin(group.accuracy, group.half_width),
    }),
    ...(baseline ? [column(`Above ${baseline}, seed by seed`, "above_baseline", null, { cell: aboveBaseline })] : []),
    column("Validation accuracy", "validation_accuracy", percent),
    column("Sent by a worker", "bytes", bytes),
    column("Exchanges", "exchanges", whole),
    column("Time", "seconds", time),
    column("Seeds", "seeds", whole, {
      cell: (group) => whole(group.seeds) + (group.failed > 0 ? ` (${group.failed} failed)` : ""),
    }),
    { name: "Setting", text: true, cell: (group) => group.setting ?? missing },
  ];
  const inTable = [...groups].sort(
    (a, b) => (a.period ?? 0) - (b.period ?? 0) || (b.accuracy ?? -1) - (a.accuracy ?? -1),
  );
  const table = sheet(columns, inTable, (group) => (isBest(group) ? "best" : ""));
  const note = groups.some(isBest)
    ? [el("p", { class: "quiet" }, "Bold: the highest mean of its period.")]
    : [];
  return el("div", {}, ...note, table);
}

const failedRuns = (runs) =>
  sheet(
    [
      { name: "Data set", head: true, cell: (run) => run.dataset ?? missing },
      { name: "Synchronizer", cell: (run) => run.sync ?? missing },
      { name: "Period", number: true, cell: (run) => whole(run.period) },
      { name: "Seed", number: true, cell: (run) => plain(run.seed) },
      { name: "Reason", text: true, cell: (run) => run.message ?? missing },
    ],
    runs,
  );

// A synchronizer that was run with one period only, as ssgd may be, is shown at every choice.
function chosenRuns(body, runs) {
  if (runs.length === 0) return;
  const content = el("div");
  const ofDataset = () => runs.filter((run) => run.dataset === dataset.value);
  const show = () => {
    removeCharts(content);
    chosenCharts(content, ofDataset(), Number(period.value));
  };
  const offerPeriods = () => {
    const count = (period) => ofDataset().filter((run) => run.period === period).length;
    const periods = inOrder(ofDataset().map((run) => run.period)).filter(has);
    const most = periods.reduce((a, b) => (count(b) > count(a) ? b : a), periods[0]);
    period.replaceChildren(...periods.map((value) => new Option(value, value, false, value === most)));
    show();
  };
  const period = el("select");
  const dataset = el(
    "select",
    {},
    ...distinct(runs.map((run) => run.dataset)).map((name) => new Option(name, name)),
  );
  dataset.addEventListener("change", offerPeriods);
  period.addEventListener("change", show);
  const labels = [el("label", {}, "Data set ", dataset), el("label", {}, "Period ", period)];
  body.append(el("div", { class: "chooser" }, ...labels), content);
  offerPeriods();
}

function chosenCharts(content, runs, period) {
  const chosen = synchronizers
    .map((sync) => {
      const mine = runs.filter((run) => run.sync === sync);
      const periods = distinct(mine.map((run) => run.period));
      const only = periods.length === 1 && periods[0] !== period;
      return {
        name: only ? `${sync} (period ${periods[0] ?? missing})` : sync,
        style: lookOf(sync),
        runs: only ? mine : mine.filter((run) => run.period === period),
      };
    })
    .filter((one) => one.runs.length > 0);
  if (chosen.length === 0) {
    content.append(el("p", {}, "No run of this data set with this period has finished."));
    return;
  }
  const grid = el("div", { class: "charts" });
  content.append(grid);
  curveCharts(grid, chosen);
  if (grid.children.length === 0) grid.remove();
  timeBars(
    content,
    chosen.map(({ name, runs }) => ({ name, seconds: meanSeconds(runs) })),
    el("h3", {}, "Where the time went"),
  );
}

function curveCharts(grid, chosen) {
  const tested = chosen.some((one) =>
    one.runs.some((run) => run.epochs?.some((item) => has(item.test_accuracy))),
  );
  const accuracy = tested ? "test_accuracy" : "validation_accuracy";
  const curves = (list, key) =>
    chosen.map(({ name, style, runs }) => {
      const points = meanCurve(runs, list, key);
      return { name, style, points, marks: points.length <= 40 };
    });
  addChart(grid, {
    title: "Training loss",
    label: "epoch",
    x: epochAxis,
    y: fittingAxis,
    says: "The mean loss of each epoch; the mean over the finished seeds.",
    series: curves("epochs", "train_loss"),
  });
  addChart(grid, {
    title: `${tested ? "Test" : "Validation"} accuracy (%)`,
    label: "epoch",
    x: epochAxis,
    y: percentAxis,
    says: "The accuracy after each epoch; the mean over the finished seeds.",
    series: curves("epochs", accuracy),
  });
  addChart(grid, {
    title: "Distance within the swarm",
    label: "epoch",
    x: epochAxis,
    y: fittingAxis,
    says: "How far the workers were from their mean before an exchange; the mean over the finished seeds.",
    series: curves("exchanges", "spread"),
  });
}

function meanCurve(runs, list, key) {
  const atEpoch = new Map();
  for (const point of runs.flatMap((run) => points(run[list], (item) => item[key]))) {
    const x = point.x.toFixed(3);
    atEpoch.set(x, [...(atEpoch.get(x) ?? []), point.y]);
  }
  return [...atEpoch].map(([x, values]) => ({ x: Number(x), y: mean(values) })).sort((a, b) => a.x - b.x);
}

const meanSeconds = (runs) =>
  Object.fromEntries(parts.map(([key]) => [key, meanOfKnown(runs.map((run) => run.seconds?.[key]))]));

// ---- the page

const report = JSON.parse(document.getElementById("report-data").textContent);
header(report);
if (report.kind === "compare") compareReport(report);
else trainReport(report);
section("How it was made", (body) => {
  settings(body, "Configuration", report.config);
  settings(body, "Versions", report.versions);
});
followTheme();
root.dataset.overflow = root.scrollWidth > innerWidth;
