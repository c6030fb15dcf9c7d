// The page of a sweep: its charts. A selection in one (`shown`, `picked`) applies to the others.

const { trials, trainings, params } = data;
const count = trials.number.length;
const objective = trials[data.objective.of];
const higher = data.objective.of === "score";
const asPercent = (of) => of === "score" && data.percent;
const valueText = asPercent(data.objective.of) ? percent : (x) => num(x);
const placeOf = new Map(trials.number.map((number, at) => [number, at]));
const winner = placeOf.get(data.winner) ?? -1;
const stateColour = (status) => css(`--${data.statuses[status]}`);

/// Indices of the trials within the brushes, and of the clicked trial.
let shown = new Set(trials.number.keys());
let picked = -1;

// Colours of the objective: from the best to the worst, or, with many trials, to the 90th percentile.
const colours = (() => {
  const known = objective.filter(isNumber).sort((a, b) => (higher ? b - a : a - b));
  if (!known.length) return null;
  const [best, worst] = [known[0], known[Math.min(known.length - 1, known.length < 30 ? Infinity : Math.floor(0.9 * known.length))]];
  const scale = higher ? SCALES.linear : scaleFor([best, worst]);
  const at = (x) => (worst === best ? 0 : (scale.to(x) - scale.to(best)) / (scale.to(worst) - scale.to(best)));
  return { best, worst, clipped: worst !== known[known.length - 1], of: (x) => (isNumber(x) ? viridis(at(x)) : css("--dim")) };
})();
const colourOf = (x) => (colours ? colours.of(x) : css("--dim"));

function legends() {
  for (const place of document.querySelectorAll("[data-legend]")) {
    const stops = [0, 0.25, 0.5, 0.75, 1].map(viridis).join(",");
    place.innerHTML = colours
      ? `<span>${esc(data.objective.name)}: best ${valueText(colours.best)}</span><i style="background:linear-gradient(90deg,${stops})"></i>` +
        `<span>${valueText(colours.worst)}${colours.clipped ? " or worse" : " worst"}</span><b style="background:${css("--dim")}"></b><span>none</span>`
      : "";
  }
}
document.addEventListener("recolour", legends);
legends();

/// The value of a hyperparameter as text.
function paramText(param, at) {
  const value = param.values[at];
  if (value === null) return "–";
  return param.categories ? param.categories[value] : SCALES[param.scale].text(value);
}

function describe(at, more = "") {
  const settings = params.map((param) => `${esc(param.key)} ${esc(paramText(param, at))}`).join("<br>");
  return `<b>trial ${trials.number[at]}${at === winner ? " (best)" : ""}</b>${more}<br>${esc(data.objective.name)} ${valueText(objective[at])}` +
    `<br>${esc(data.statuses[trials.status[at]])}<br>${settings}`;
}

// Parallel coordinates. Axes are linear in the scale's own unit, so that brushes are too.
const paramScale = (param) => SCALES[param.scale];
const objectiveScale = higher ? SCALES.linear : scaleFor(objective);
// Best last: drawn over the others.
const drawOrder = [...trials.number.keys()].sort((a, b) => badness(b) - badness(a));
function badness(at) {
  return isNumber(objective[at]) ? (higher ? -objective[at] : objective[at]) : Infinity;
}

const parallel = draw("parallel", (width) => {
  const { ink, dim } = base();
  const label = { color: ink, backgroundColor: css("--card"), padding: [1, 2], borderRadius: 2 };
  const look = {
    nameLocation: "end", nameGap: 14, nameTextStyle: { color: ink, fontWeight: "bold", width: Math.max(60, width / (params.length + 1) - 16), overflow: "truncate" },
    axisLine: { lineStyle: { color: dim } },
    areaSelectStyle: { width: 18, borderColor: css("--accent"), color: css("--accent"), opacity: 0.25 },
  };
  const axes = params.map((param, dim_) => {
    if (param.categories) {
      return { ...look, dim: dim_, name: param.key, type: "category", data: param.categories, axisLabel: { ...label, formatter: (text) => cut(text, 14) } };
    }
    const { axisLabel, axisTick, min, max } = scaledAxis(paramScale(param), param.values, 8, undefined, 6);
    return { ...look, dim: dim_, name: param.key, type: "value", min, max, axisTick, axisLabel: { ...axisLabel, ...label } };
  });
  const last = scaledAxis(objectiveScale, objective, 8, valueText);
  axes.push({ ...look, dim: params.length, name: data.objective.name, nameLocation: higher ? "end" : "start", type: "value", inverse: !higher, min: last.min, max: last.max, axisTick: last.axisTick, axisLabel: { ...last.axisLabel, ...label } });
  return {
    tooltip: { ...base().tooltip, formatter: ({ dataIndex }) => describe(drawOrder[dataIndex]) },
    parallel: { left: 60, right: Math.min(150, 0.14 * width), top: 40, bottom: 20, parallelAxisDefault: { realtime: count <= 400 } },
    parallelAxis: axes,
    series: [{
      type: "parallel", inactiveOpacity: 0.04, activeOpacity: 0.85, progressive: 0, smooth: false,
      emphasis: { lineStyle: { width: 4, opacity: 1 } },
      data: drawOrder.map((at) => ({
        value: [
          ...params.map((param) => (param.values[at] === null ? "-" : param.categories ? param.categories[param.values[at]] : paramScale(param).to(param.values[at]))),
          isNumber(objective[at]) ? objectiveScale.to(objective[at]) : "-",
        ],
        lineStyle: {
          color: colourOf(objective[at]), width: at === winner ? 4 : count > 200 ? 1 : 1.6,
          opacity: at === winner ? 1 : count > 200 ? 0.45 : 0.8, type: isNumber(objective[at]) ? "solid" : "dashed",
        },
      })),
    }],
  };
}, undefined, 100 * (params.length + 1));
parallel?.on("axisareaselected", () => {
  const series = parallel.getModel().getSeriesByIndex(0);
  const brushed = parallel.getModel().queryComponents({ mainType: "parallelAxis" }).some((axis) => axis.activeIntervals.length);
  const through = brushed ? series.getRawIndicesByActiveState("active") : drawOrder.keys();
  shown = new Set([...through].map((index) => drawOrder[index]));
  selectionChanged();
});

// Learning curves: one polyline per training, all in one series.
const measures = ["loss", "score"].filter((of) => trainings[of].some((curve) => curve.some(isNumber)));
const measureSelect = byId("curve-measure");
measureSelect.innerHTML = measures.map((of) => `<option value="${of}">${esc(data.measures[of === "loss" ? 0 : 1])}</option>`).join("");
measureSelect.value = measures.includes(data.objective.of) ? data.objective.of : measures[0];
measureSelect.addEventListener("change", () => redraw("curves"));
const curveRows = [...trainings.trial.keys()].filter((row) => trainings.epochs[row] !== undefined && !trainings.final[row]);
let drawnCurves = [];

const curves = draw("curves", () => {
  const of = measureSelect.value;
  const text = asPercent(of) ? percent : (x) => num(x);
  const rows = curveRows.filter((row) => shown.has(placeOf.get(trainings.trial[row])));
  const rank = (row) => {
    const at = placeOf.get(trainings.trial[row]);
    return at === picked ? -2e300 : at === winner ? -1e300 : badness(at);
  };
  rows.sort((a, b) => rank(b) - rank(a));
  const all = rows.flatMap((row) => trainings[of] ? trainings[of][row] : []);
  const scale = of === "loss" ? scaleFor(all) : SCALES.linear;
  const last = extent(rows.flatMap((row) => trainings.epoch_lists[trainings.epochs[row]]))[1];
  drawnCurves = [];
  const items = [];
  for (const row of rows) {
    const list = trainings.epoch_lists[trainings.epochs[row]];
    const points = list.map((epoch, n) => [epoch, trainings[of][row][n]]).filter(([, y]) => isNumber(y) && scale.to(y) !== null);
    if (!points.length) continue;
    // A single point is a short dash.
    if (points.length === 1) points.push([points[0][0] + 0.15, points[0][1]]);
    const at = placeOf.get(trainings.trial[row]);
    const strong = at === winner || at === picked;
    drawnCurves.push(row);
    items.push({
      coords: points.map(([x, y]) => [x, scale.to(y)]),
      lineStyle: strong
        ? { color: at === picked ? css("--ink") : css("--accent"), width: 3.5, opacity: 1 }
        : { color: colourOf(objective[at]), width: rows.length > 200 ? 1 : 1.5, opacity: rows.length > 200 ? 0.35 : 0.75 },
    });
  }
  return {
    grid: { left: 66, right: 18, top: 14, bottom: 44 },
    tooltip: {
      ...base().tooltip, trigger: "item",
      formatter: ({ dataIndex }) => {
        const row = drawnCurves[dataIndex];
        return describe(placeOf.get(trainings.trial[row]), `, seed ${esc(trainings.seed[row])}`);
      },
    },
    xAxis: axis({ type: "value", name: "epoch", min: Math.min(1, last), max: Math.max(2, last), minInterval: 1, splitLine: { show: false } }),
    yAxis: axis({ ...scaledAxis(scale, all, 6, text), name: data.measures[of === "loss" ? 0 : 1], nameGap: 50 }),
    series: [{
      type: "lines", coordinateSystem: "cartesian2d", polyline: true, clip: true, progressive: 0, data: items,
      emphasis: { lineStyle: { width: 4, opacity: 1 } },
    }],
  };
});
curves?.on("click", ({ dataIndex }) => pick(placeOf.get(trainings.trial[drawnCurves[dataIndex]]), true));

// Heatmap of two hyperparameters: mean objective of the trials in each cell.
const BINS = 10;

/// The cells of one hyperparameter: their names, and the cell of each trial.
function cells(param) {
  if (param.categories) return { names: param.categories, of: (at) => param.values[at] };
  const different = [...new Set(param.values.filter(isNumber))].sort((a, b) => a - b);
  const scale = paramScale(param);
  if (different.length <= 12) {
    return { names: different.map(scale.text), of: (at) => (param.values[at] === null ? null : different.indexOf(param.values[at])) };
  }
  const [low, high] = extent(different).map(scale.to);
  const edge = (n) => scale.text(Number(scale.from(low + (n * (high - low)) / BINS).toPrecision(2 + (scale === SCALES.ema ? 3 : 0))));
  return {
    names: Array.from({ length: BINS }, (_, n) => `${edge(n)} – ${edge(n + 1)}`),
    of: (at) => (param.values[at] === null ? null : Math.min(BINS - 1, Math.floor((BINS * (scale.to(param.values[at]) - low)) / (high - low)))),
  };
}

const [acrossSelect, upSelect] = [byId("heatmap-x"), byId("heatmap-y")];
if (acrossSelect) {
  // The two most important ones, if known.
  const order = data.importance.map(([key]) => params.findIndex((param) => param.key === key)).filter((at) => at >= 0);
  const [first, second] = [...order, ...params.keys()].filter((at, n, all) => all.indexOf(at) === n);
  [[acrossSelect, first], [upSelect, second]].forEach(([select, at]) => {
    select.innerHTML = params.map((param, n) => `<option value="${n}">${esc(param.key)}</option>`).join("");
    select.value = at;
    select.addEventListener("change", () => redraw("heatmap"));
  });
}
draw("heatmap", (width) => {
  const [across, up] = [params[acrossSelect.value], params[upSelect.value]];
  const [x, y] = [cells(across), cells(up)];
  const sums = new Map();
  for (const at of shown) {
    const [column, row] = [x.of(at), y.of(at)];
    if (column === null || row === null || !isNumber(objective[at])) continue;
    const cell = sums.get(`${column},${row}`) ?? { column, row, sum: 0, n: 0 };
    cell.sum += objective[at];
    cell.n += 1;
    sums.set(`${column},${row}`, cell);
  }
  const found = [...sums.values()].map((cell) => ({ ...cell, mean: cell.sum / cell.n }));
  const left = Math.min(160, 50 + 6.5 * Math.max(...y.names.map((name) => name.length)));
  const labelled = (width - left) / x.names.length > 44 && y.names.length <= 14;
  return {
    grid: { left, right: 14, top: 10, bottom: x.names.length > 6 ? 86 : 50 },
    tooltip: {
      ...base().tooltip,
      formatter: ({ dataIndex }) => {
        const { column, row, mean, n } = found[dataIndex];
        return `${esc(across.key)} ${esc(x.names[column])}<br>${esc(up.key)} ${esc(y.names[row])}<br>mean ${esc(data.objective.name)} ${valueText(mean)}<br>${n} trial${n === 1 ? "" : "s"}`;
      },
    },
    xAxis: axis({ type: "category", data: x.names, name: cut(across.key), nameGap: x.names.length > 6 ? 66 : 30, axisLabel: { hideOverlap: true, rotate: x.names.length > 6 ? 30 : 0 }, splitArea: { show: false } }),
    yAxis: axis({ type: "category", data: y.names, name: cut(up.key), nameGap: left - 20, axisLabel: { width: left - 34, overflow: "truncate" } }),
    series: [{
      type: "custom",
      data: found.map(({ column, row, mean }) => [column, row, mean]),
      encode: { x: 0, y: 1 },
      renderItem: (_, api) => {
        const [cx, cy] = api.coord([api.value(0), api.value(1)]);
        const [w, h] = api.size([1, 1]);
        const fill = colourOf(api.value(2));
        return {
          type: "rect", shape: { x: cx - w / 2 + 1, y: cy - h / 2 + 1, width: Math.max(1, w - 2), height: Math.max(1, h - 2) }, style: { fill },
          textContent: labelled ? { style: { text: asPercent(data.objective.of) ? percent(api.value(2)).replace(" %", "") : num(api.value(2), 3), fill: inkOn(fill), fontSize: 11 } } : undefined,
          textConfig: { position: "inside" },
        };
      },
    }],
  };
});

/// A point with its interval, as a custom series; rows are [category, mean, low, high].
function intervals(name, colour, rows, offset = 0) {
  return {
    type: "custom", name, color: colour, data: rows, encode: { x: [1, 2, 3], y: 0 },
    renderItem: (_, api) => {
      const [row, mean, low, high] = [0, 1, 2, 3].map((n) => api.value(n));
      const [[x, y0], [x0], [x1]] = [mean, low, high].map((v) => api.coord([v, row]));
      const y = y0 + offset;
      const line = (a, b, c, d) => ({ type: "line", shape: { x1: a, y1: b, x2: c, y2: d }, style: { stroke: colour, lineWidth: 2 } });
      return { type: "group", children: [line(x0, y, x1, y), line(x0, y - 4, x0, y + 4), line(x1, y - 4, x1, y + 4), { type: "circle", shape: { cx: x, cy: y, r: 4.5 }, style: { fill: colour } }] };
    },
  };
}

const importance = [...data.importance].reverse();
draw("importance", () => ({
  grid: { left: 110, right: 24, top: 10, bottom: 44 },
  tooltip: {
    ...base().tooltip,
    formatter: ({ dataIndex }) => {
      const [key, share, low, high] = importance[dataIndex];
      return `${esc(key)}: ${percent(share)}<br>95 % interval ${percent(low)} to ${percent(high)}`;
    },
  },
  xAxis: axis({ type: "value", min: 0, max: (x) => Math.min(1, Math.max(0.1, Math.ceil(10 * x.max) / 10)), name: "share of variance", axisLabel: { formatter: percent } }),
  yAxis: axis({ type: "category", data: importance.map(([key]) => key), axisLabel: { width: 96, overflow: "truncate" } }),
  series: [
    { type: "bar", data: importance.map(([, share]) => share), itemStyle: { color: css("--completed"), opacity: 0.55 }, barMaxWidth: 26 },
    { ...intervals("95 % interval", css("--ink"), importance.map(([, share, low, high], row) => [row, share, low, high])), tooltip: { show: true } },
  ],
}), Math.max(340, 90 + 34 * importance.length));

draw("expected", () => {
  const values = data.expected.map(([, value]) => value);
  const budgets = data.expected.map(([n]) => n);
  const [x, y] = [scaleFor(budgets, 30), higher ? SCALES.linear : scaleFor(values)];
  return {
    grid: { left: 66, right: 20, top: 14, bottom: 44 },
    tooltip: { ...base().tooltip, trigger: "axis", formatter: ([{ value }]) => `${num(x.from(value[0]))} trials: ${valueText(y.from(value[1]))}` },
    xAxis: axis({ ...scaledAxis(x, budgets, 8), name: "trials", splitLine: { show: false } }),
    yAxis: axis({ ...scaledAxis(y, values, 6, valueText), name: data.objective.name, nameGap: 50 }),
    series: [{ type: "line", showSymbol: budgets.length < 30, color: css("--completed"), data: data.expected.map(([n, value]) => [x.to(n), y.to(value)]) }],
  };
});

const finalists = [...data.finalists].reverse();
draw("finalists", () => {
  const flat = (key) => finalists.flatMap((finalist, row) => (finalist[key] ? [[row, finalist[key].mean, finalist[key].low, finalist[key].high]] : []));
  const [val, test] = [flat("val"), flat("test")];
  const scaled = scaledAxis(SCALES.linear, [...val, ...test].flatMap((row) => row.slice(1)), 6, valueText);
  const names = [data.objective.name, data.objective.name.replace("validation", "test")];
  return {
    grid: { left: 80, right: 20, top: 34, bottom: 44 },
    legend: { top: 0, textStyle: { color: css("--ink") }, data: test.length ? names : names.slice(0, 1) },
    tooltip: { ...base().tooltip, formatter: ({ seriesName, value }) => `trial ${finalists[value[0]].trial}<br>${esc(seriesName)} ${valueText(value[1])}<br>95 % interval ${valueText(value[2])} to ${valueText(value[3])}` },
    xAxis: axis({ ...scaled, name: names[0].replace("validation ", "") }),
    yAxis: axis({ type: "category", data: finalists.map((finalist) => `trial ${finalist.trial}`) }),
    series: [intervals(names[0], css("--train"), val, -6), intervals(names[1], css("--val"), test, 6)],
  };
}, 90 + 40 * Math.max(2, finalists.length));
