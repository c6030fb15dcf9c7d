// The page of a sweep: lanes over time, the table of trials, and what selections do.

// Rows of the lanes: every slot in which a training ended, lane by lane.
const laneOrder = (a, b) => a.lane.localeCompare(b.lane, "en", { numeric: true }) || a.slot - b.slot;
const slots = [...new Map(trainings.lane.map((lane, row) => [`${lane} ${trainings.slot[row]}`, { lane, slot: trainings.slot[row] }])).entries()]
  .sort(([, a], [, b]) => laneOrder(b, a));
const slotRow = new Map(slots.map(([key], row) => [key, row]));
const lanes = [...new Set(slots.map(([, { lane }]) => lane))].reverse();
const timed = [...trainings.trial.keys()].filter((row) => isNumber(trainings.start[row]) && trainings.end[row] >= trainings.start[row]);
const duration = timed.reduce((most, row) => Math.max(most, trainings.end[row]), 0);

/// [seconds, number of trainings running from then on] of one lane.
function slotsInUse(lane) {
  const changes = new Map();
  for (const row of timed) {
    if (trainings.lane[row] !== lane) continue;
    changes.set(trainings.start[row], (changes.get(trainings.start[row]) ?? 0) + 1);
    changes.set(trainings.end[row], (changes.get(trainings.end[row]) ?? 0) - 1);
  }
  let running = 0;
  const steps = [...changes].sort(([a], [b]) => a - b).map(([time, change]) => [time, (running += change)]);
  return [[0, 0], ...steps];
}
const LANE_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"];

const laneHeight = Math.min(460, Math.max(60, 16 * slots.length));
draw("lanes", () => {
  const { ink, dim } = base();
  // A redraw keeps the zoom.
  const { start = 0, end = 100 } = charts.get("lanes")?.chart.getOption().dataZoom?.[0] ?? {};
  const time = (more) => axis({ type: "value", min: 0, max: duration || 1, splitLine: { show: false }, axisLabel: { formatter: seconds, hideOverlap: true }, ...more });
  return {
    legend: { top: 0, textStyle: { color: ink }, data: data.statuses.filter((_, status) => timed.some((row) => trainings.status[row] === status)) },
    grid: [
      { left: 110, right: 24, top: 34, height: laneHeight },
      { left: 110, right: 24, top: 34 + laneHeight + 30, height: 110 },
    ],
    tooltip: {
      ...base().tooltip,
      formatter: ({ seriesType, seriesName, value }) => {
        if (seriesType !== "custom") return `${esc(seriesName)}: ${value[1]} slots from ${seconds(value[0])}`;
        const row = value[3];
        const more = `, seed ${esc(trainings.seed[row])}${trainings.final[row] ? ", final comparison" : ""}`;
        return `${seconds(value[1])} to ${seconds(value[2])}<br>${placeOf.has(trainings.trial[row]) ? describe(placeOf.get(trainings.trial[row]), more) : `trial ${trainings.trial[row]}${more}`}`;
      },
    },
    dataZoom: [{ type: "slider", start, end, xAxisIndex: [0, 1], height: 18, bottom: 8, borderColor: css("--line"), textStyle: { color: dim }, labelFormatter: seconds, brushSelect: false }],
    xAxis: [time({ gridIndex: 0, axisLabel: { show: false } }), time({ gridIndex: 1, name: "time since the first start", nameGap: 24 })],
    yAxis: [
      axis({ type: "category", gridIndex: 0, data: slots.map(([, { lane, slot }]) => `lane ${lane}, slot ${slot}`), axisLabel: { fontSize: 11, width: 96, overflow: "truncate", interval: Math.ceil((13 * slots.length) / laneHeight) - 1 }, axisTick: { show: false } }),
      axis({ type: "value", gridIndex: 1, name: "slots in use", nameGap: 34, minInterval: 1, splitNumber: 3 }),
    ],
    series: [
      ...data.statuses.map((name, status) => ({
        type: "custom", name, color: stateColour(status), progressive: 0, xAxisIndex: 0, yAxisIndex: 0, encode: { x: [1, 2], y: 0 }, clip: true,
        data: timed.filter((row) => trainings.status[row] === status).map((row) => [slotRow.get(`${trainings.lane[row]} ${trainings.slot[row]}`), trainings.start[row], trainings.end[row], row]),
        renderItem: (_, api) => {
          const [x0, y] = api.coord([api.value(1), api.value(0)]);
          const [x1] = api.coord([api.value(2), api.value(0)]);
          const height = Math.max(1.5, Math.min(16, api.size([0, 1])[1] * 0.8));
          const at = placeOf.get(trainings.trial[api.value(3)]);
          const opacity = shown.has(at) || at === undefined ? 0.9 : 0.12;
          const edge = at === picked ? { stroke: ink, lineWidth: 2 } : { stroke: css("--card"), lineWidth: height > 5 ? 1 : 0 };
          return { type: "rect", shape: { x: x0, y: y - height / 2, width: Math.max(1.5, x1 - x0), height }, style: { fill: stateColour(status), opacity, ...edge } };
        },
      })),
      ...lanes.map((lane, n) => ({
        type: "line", name: `lane ${lane}`, step: "end", stack: "slots", xAxisIndex: 1, yAxisIndex: 1, showSymbol: false,
        color: LANE_COLOURS[n % LANE_COLOURS.length], lineStyle: { width: 1 }, areaStyle: { opacity: 0.35 }, data: lanes.length > 1 ? onCommonTimes(lane) : slotsInUse(lane),
      })),
    ],
  };
}, laneHeight + 250)?.on("click", ({ seriesType, value }) => seriesType === "custom" && pick(placeOf.get(trainings.trial[value[3]]), true));

/// The steps of a lane at the times of all lanes: stacked lines need the same times.
function onCommonTimes(lane) {
  const times = [...new Set([0, ...timed.flatMap((row) => [trainings.start[row], trainings.end[row]])])].sort((a, b) => a - b);
  const steps = slotsInUse(lane);
  let at = 0;
  return times.map((time) => {
    while (at + 1 < steps.length && steps[at + 1][0] <= time) at++;
    return [time, steps[at][1]];
  });
}

// The table of all trials.
const PAGE = 25;
const measure = (of) => ({
  name: data.measures[of === "loss" ? 0 : 1],
  sort: (at) => trials[of][at],
  text: (at) => (asPercent(of) ? percent(trials[of][at]) : num(trials[of][at])),
  down: of === "score",
});
const other = higher ? "loss" : "score";
const columns = [
  { name: "trial", sort: (at) => trials.number[at], text: (at) => `${trials.number[at]}${at === winner ? " ★" : ""}` },
  ...params.map((param) => ({ name: param.key, sort: (at) => param.values[at], text: (at) => paramText(param, at) })),
  measure(data.objective.of),
  ...(trials[other].some(isNumber) ? [measure(other)] : []),
  ...(trials.seeds.some((n) => n > 1) ? [{ name: "seeds", sort: (at) => trials.seeds[at], text: (at) => trials.seeds[at] }] : []),
  { name: "parameters", sort: (at) => trials.parameters[at], text: (at) => trials.parameters[at].toLocaleString("en") },
  { name: "epochs", sort: (at) => trials.epochs[at], text: (at) => trials.epochs[at] },
  { name: "time", sort: (at) => trials.wall_s[at], text: (at) => (isNumber(trials.wall_s[at]) ? seconds(trials.wall_s[at]) : "–") },
  { name: "status", sort: (at) => trials.status[at], text: (at) => data.statuses[trials.status[at]], state: true },
  { name: "reason", sort: (at) => trials.reason[at], text: (at) => trials.reason[at], reason: true },
];
const order = { column: 1 + params.length, down: higher, page: 0 };

/// The trials shown, in the order of the table; trials without a value come last.
function sortedTrials() {
  const { sort } = columns[order.column];
  const sign = order.down ? -1 : 1;
  const missing = (x) => x === null || x === undefined || x === "";
  return [...shown].sort((a, b) => {
    const [x, y] = [sort(a), sort(b)];
    if (missing(x) || missing(y)) return missing(x) - missing(y) || a - b;
    return sign * (typeof x === "string" ? x.localeCompare(y, "en") : x - y) || a - b;
  });
}

function table() {
  const rows = sortedTrials();
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  order.page = Math.min(Math.max(0, order.page), pages - 1);
  const head = columns.map(({ name }, n) => {
    const sorted = n === order.column ? (order.down ? "descending" : "ascending") : "none";
    const mark = n === order.column ? (order.down ? " ↓" : " ↑") : "";
    return `<th scope="col" aria-sort="${sorted}"><button type="button" data-column="${n}">${esc(name)}${mark}</button></th>`;
  });
  const body = rows.slice(PAGE * order.page, PAGE * (order.page + 1)).map((at) => {
    const cellsOf = columns.map(({ text, state, reason }) => {
      const look = state ? ` class="state" style="--state:${stateColour(trials.status[at])}"` : reason ? ' class="reason"' : "";
      return `<td${look}>${esc(text(at))}</td>`;
    });
    return `<tr class="pickable${at === picked ? " picked" : ""}" data-trial="${at}">${cellsOf.join("")}</tr>`;
  });
  const step = (to, name, off) => `<button type="button" data-page="${to}"${off ? " disabled" : ""}>${name}</button>`;
  byId("table").innerHTML = `<div class="scroll"><table><thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody></table></div>` +
    `<div class="pages">${step(0, "First", order.page === 0)}${step(order.page - 1, "Previous", order.page === 0)}` +
    `<span>page ${order.page + 1} of ${pages}, ${rows.length.toLocaleString("en")} of ${count.toLocaleString("en")} trials</span>` +
    `${step(order.page + 1, "Next", order.page + 1 >= pages)}${step(pages - 1, "Last", order.page + 1 >= pages)}</div>`;
}
byId("table").addEventListener("click", (event) => {
  const { column, page } = event.target.closest("button")?.dataset ?? {};
  const row = event.target.closest("[data-trial]");
  if (column !== undefined) {
    const n = Number(column);
    order.down = n === order.column ? !order.down : Boolean(columns[n].down);
    [order.column, order.page] = [n, 0];
    table();
  } else if (page !== undefined) {
    order.page = Number(page);
    table();
  } else if (row) {
    pick(Number(row.dataset.trial), false);
  }
});
table();

/// Selects a trial, or deselects it if it is selected; with `find`, shows its row.
function pick(at, find) {
  if (at === undefined) return;
  picked = picked === at ? -1 : at;
  parallel?.dispatchAction({ type: "downplay", seriesIndex: 0 });
  if (picked >= 0) parallel?.dispatchAction({ type: "highlight", seriesIndex: 0, dataIndex: drawOrder.indexOf(picked) });
  if (find && picked >= 0) order.page = Math.floor(Math.max(0, sortedTrials().indexOf(picked)) / PAGE);
  table();
  redraw("curves");
  redraw("lanes");
}

/// Updates the page after the brushes have changed.
function selectionChanged() {
  const bar = byId("filter");
  bar.hidden = shown.size === count;
  bar.innerHTML = `<span>${shown.size.toLocaleString("en")} of ${count.toLocaleString("en")} trials are shown</span><button type="button">Show all</button>`;
  order.page = 0;
  table();
  ["curves", "heatmap", "lanes"].forEach(redraw);
}
byId("filter").addEventListener("click", (event) => {
  if (!event.target.closest("button")) return;
  shown = new Set(trials.number.keys());
  redraw("parallel");
  selectionChanged();
});
document.addEventListener("recolour", table);
