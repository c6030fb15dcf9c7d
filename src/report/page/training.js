// The page of a training: one chart per measure, against epochs.

const { epochs } = data;

/// Draws the columns `names` (each with a label and a colour) against the epoch.
function lines(id, names, unit, text) {
  const shown = names.filter(([column]) => epochs[column]?.some(isNumber));
  if (!byId(`chart-${id}`) || !shown.length) {
    byId(id)?.remove();
    return;
  }
  const all = shown.flatMap(([column]) => epochs[column]);
  // With 0 on the axis, a steady rate looks steady.
  if (id === "samples_per_s") all.push(0);
  // Losses, rates and norms are compared by ratios.
  const scale = ["loss", "lr", "grad_norm"].includes(id) ? scaleFor(all) : SCALES.linear;
  const value = text ?? scale.text;
  draw(id, () => ({
    grid: { left: 70, right: 20, top: 34, bottom: 44 },
    legend: { show: shown.length > 1, top: 0, textStyle: { color: css("--ink") }, data: shown.map(([, name]) => name) },
    tooltip: {
      ...base().tooltip, trigger: "axis",
      formatter: (points) => `epoch ${points[0].value[0]}<br>` + points.map((p) => `${p.marker}${esc(p.seriesName)}: ${value(scale.from(p.value[1]))}`).join("<br>"),
    },
    xAxis: axis({ type: "value", name: "epoch", min: "dataMin", max: "dataMax", minInterval: 1, splitLine: { show: false } }),
    yAxis: axis({ ...scaledAxis(scale, all, 6, value), name: unit, nameGap: 52 }),
    series: shown.map(([column, name, colour], at) => ({
      type: "line", name, showSymbol: epochs.epoch.length < 40, symbolSize: 5, connectNulls: false,
      color: css(colour), lineStyle: { width: 2, type: at ? "dashed" : "solid" },
      data: epochs.epoch.map((epoch, row) => [epoch, isNumber(epochs[column][row]) ? scale.to(epochs[column][row]) : null]),
      markLine: at === 0 && id === "loss" && isNumber(data.best) ? {
        symbol: "none", silent: true, lineStyle: { color: css("--dim"), type: "dotted" },
        label: { formatter: "best", color: css("--dim") }, data: [{ xAxis: data.best }],
      } : undefined,
    })),
  }));
}

const both = (name) => [[`train_${name}`, "training", "--train"], [`val_${name}`, "validation", "--val"]];
lines("loss", both("loss"), "loss");
lines("acc", both("acc"), "accuracy", percent);
lines("rmse", both("rmse"), "RMSE (target's unit)");
lines("r2", both("r2"), "R²");
lines("lr", [["lr", "learning rate", "--train"]], "learning rate");
lines("grad_norm", [["grad_norm", "gradient norm", "--train"]], "‖gradient‖₂");
lines("samples_per_s", [["samples_per_s", "throughput", "--train"]], "samples/s", (x) => (x >= 1e6 ? `${num(x / 1e6, 3)}M` : x >= 1e3 ? `${num(x / 1e3, 3)}k` : num(x, 3)));

// The records of `--watch`, against the logarithm of the step (from 1).
const { looks } = data;
const layerName = (at) => (at + 1 < looks.layers.length ? `layer ${at + 1}` : "output");
const stepAxis = (more) => axis({ ...scaledAxis(SCALES.log, looks.step, 6), splitLine: { show: false }, ...more });
const place = (at) => SCALES.log.to(looks.step[at]);

/// Percentiles of `column` of each layer, one below the other, as bands around the median.
function bands(id, column, colour) {
  const layers = looks.layers.map((layer, at) => ({ rows: layer[column], at })).filter(({ rows }) => rows);
  if (!byId(`chart-${id}`) || !layers.length) return;
  const [top, each, gap] = [8, 84, 30];
  const known = (rows, at) => rows.every((row) => isNumber(row[at]));
  const band = (rows, low, high, opacity, nth) => ({
    type: "custom", silent: true, clip: true, xAxisIndex: nth, yAxisIndex: nth, tooltip: { show: false },
    data: [[place(0), 0]],
    renderItem: (_, api) => {
      const there = looks.step.map((_, at) => at).filter((at) => known(rows, at));
      const edge = (row) => there.map((at) => api.coord([place(at), row[at]]));
      return { type: "polygon", shape: { points: [...edge(rows[low]), ...edge(rows[high]).reverse()] }, style: { fill: css(colour), opacity } };
    },
  });
  draw(id, () => ({
    grid: layers.map((_, nth) => ({ left: 62, right: 16, top: top + nth * (each + gap), height: each })),
    tooltip: {
      ...base().tooltip, trigger: "axis",
      formatter: ([{ axisIndex, dataIndex }]) => {
        const { rows, at } = layers[axisIndex ?? 0];
        const names = ["5 %", "15 %", "median", "85 %", "95 %"];
        return `${layerName(at)}, step ${num(looks.step[dataIndex], 9)}<br>` + names.map((name, p) => `${name}: ${num(rows[p][dataIndex])}`).reverse().join("<br>");
      },
    },
    xAxis: layers.map((_, nth) => stepAxis({ gridIndex: nth, ...(nth + 1 < layers.length ? { axisLabel: { show: false } } : { name: "step, from 1" }) })),
    yAxis: layers.map(({ rows, at }, nth) => axis({ ...scaledAxis(SCALES.linear, rows.flat(), 4), gridIndex: nth, name: layerName(at), nameGap: 44 })),
    series: layers.flatMap(({ rows }, nth) => [
      band(rows, 0, 4, 0.18, nth),
      band(rows, 1, 3, 0.32, nth),
      {
        type: "line", xAxisIndex: nth, yAxisIndex: nth, showSymbol: false, color: css(colour), lineStyle: { width: 2 },
        data: looks.step.map((_, at) => [place(at), isNumber(rows[2][at]) ? rows[2][at] : null]),
      },
    ]),
  }), top + layers.length * (each + gap) + 24);
}

/// One line per layer, the first dark and the last light.
function norms(id, column) {
  const layers = looks.layers.map((layer, at) => ({ values: layer[column], at })).filter(({ values }) => values);
  if (!byId(`chart-${id}`) || !layers.length) return;
  const all = layers.flatMap(({ values }) => values);
  const scale = all.some((x) => x > 0) ? SCALES.log : SCALES.linear;
  draw(id, () => ({
    grid: { left: 70, right: 20, top: 34, bottom: 44 },
    legend: { type: "scroll", top: 0, textStyle: { color: css("--ink") }, data: layers.map(({ at }) => layerName(at)) },
    tooltip: {
      ...base().tooltip, trigger: "axis",
      formatter: (points) => `step ${num(looks.step[points[0].dataIndex], 9)}<br>` + points.map((p) => `${p.marker}${p.seriesName}: ${num(scale.from(p.value[1]))}`).join("<br>"),
    },
    xAxis: stepAxis({ name: "step, from 1" }),
    yAxis: axis({ ...scaledAxis(scale, all.filter((x) => scale.to(x) !== null), 6), name: "‖gradient‖₂", nameGap: 52 }),
    series: layers.map(({ values, at }) => ({
      type: "line", name: layerName(at), showSymbol: false, lineStyle: { width: 2 },
      color: viridis(layers.length > 1 ? (0.75 * at) / (layers.length - 1) : 0),
      data: values.map((value, row) => [place(row), isNumber(value) ? scale.to(value) : null]),
    })),
  }));
}

bands("watch_z", "z", "--train");
bands("watch_y", "y", "--val");
norms("watch_w", "w");
norms("watch_v", "v");
