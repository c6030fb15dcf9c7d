// The page of a training: one chart a measure, against epochs.

const { epochs } = data;

/// Lines of the columns `names` (with what to call them) against the epoch.
function lines(id, names, unit, text) {
  const shown = names.filter(([column]) => epochs[column]?.some(isNumber));
  if (!byId(`chart-${id}`) || !shown.length) {
    byId(id)?.remove();
    return;
  }
  const all = shown.flatMap(([column]) => epochs[column]);
  // A rate that hardly changes should look so.
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
