// Shared by the pages of sweeps and trainings: the data, numbers as text, scales, colours, charts.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const isNumber = (x) => typeof x === "number" && Number.isFinite(x);

/// Text as HTML shows it; ECharts' tooltips are HTML.
function esc(text) {
  const names = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(text).replace(/[&<>"']/g, (c) => names[c]);
}

/// Text of at most `most` characters.
const cut = (text, most = 24) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/// A number in at most `digits` significant digits.
function num(x, digits = 4) {
  if (!isNumber(x)) return "–";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return x.toExponential(digits - 1).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(x.toPrecision(digits)));
}

const percent = (x) => (isNumber(x) ? `${Number((100 * x).toPrecision(4))} %` : "–");

function seconds(s) {
  if (s < 0.9995) return s === 0 ? "0 s" : `${Number((1e3 * s).toPrecision(3))} ms`;
  if (s < 60) return `${Number(s.toPrecision(3))} s`;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  return `${Math.floor(s / 3600)}h ${two((s / 60) % 60)}m`;
}

// Scales: `to` maps a value to its place on a linear axis, `from` maps it back, `ticks` are values.
const steps125 = (low, high, most, coarser = [1, 3]) => {
  for (const digits of [[1, 2, 5], coarser, [1]]) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const digit of digits) {
        const tick = Number(`${digit}e${power}`);
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) found.push(tick);
      }
    }
    if (found.length <= most) return found;
  }
  const all = [];
  const stride = Math.ceil((Math.log10(high) - Math.log10(low)) / most);
  for (let power = Math.ceil(Math.log10(low)); power <= Math.log10(high); power += stride) all.push(Number(`1e${power}`));
  return all;
};
const even = (low, high, most) => {
  if (!(high > low)) return [low];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(Number((n * step).toPrecision(12)));
  return found;
};
const SCALES = {
  linear: { to: (x) => x, from: (x) => x, ticks: even, text: (x) => num(x) },
  log: {
    to: (x) => (x > 0 ? Math.log10(x) : null),
    from: (x) => 10 ** x,
    ticks: (low, high, most) => {
      const found = steps125(low, high, most);
      return found.length >= 3 ? found : even(low, high, most);
    },
    text: (x) => num(x),
  },
  // 1/(1 - β) is the number of steps that a moving average remembers.
  ema: {
    to: (x) => Math.log10(1 / (1 - x)),
    from: (x) => 1 - 10 ** -x,
    ticks: (low, high, most) => {
      const found = steps125(1 / (1 - low), 1 / (1 - high), most, [1, 2]).map((n) => Number((1 - 1 / n).toPrecision(9)));
      return found.length >= 2 ? found : even(low, high, most);
    },
    text: (x) => num(x, Math.max(4, Math.ceil(-Math.log10(1 - x)) + 2)),
  },
};

/// The log scale for positive values that span more than `factor`, else the linear one.
function scaleFor(values, factor = 20) {
  const known = values.filter(isNumber);
  const low = known.reduce((a, b) => Math.min(a, b), Infinity);
  const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  return low > 0 && high > factor * low ? SCALES.log : SCALES.linear;
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of values) if (isNumber(x)) [low, high] = [Math.min(low, x), Math.max(high, x)];
  return low <= high ? [low, high] : [0, 1];
}

/// An axis of ECharts over `values` on a scale, with ticks at round values, or at the values themselves if they are
/// few.
function scaledAxis(scale, values, most = 7, text = scale.text, few = 0) {
  let [low, high] = extent(values);
  let [from, to] = [scale.to(low), scale.to(high)];
  const room = 0.03 * (to - from) || Math.abs(0.05 * to) || 0.05;
  [from, to] = [low === 0 && scale === SCALES.linear && to > 0 ? 0 : from - room, to + room];
  let ticks = scale.ticks(scale.from(from), scale.from(to), most).map(scale.to);
  const different = [...new Set(values.filter(isNumber))];
  if (different.length === 1 || (few && different.length <= few)) ticks = different.map(scale.to);
  return {
    type: "value", min: from, max: to,
    axisLabel: { customValues: ticks, formatter: (x) => text(scale.from(x)), hideOverlap: true },
    axisTick: { show: true, customValues: ticks },
    splitLine: { show: true },
  };
}

// Viridis (Smith & van der Walt 2015) at ten places, dark to light.
const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/// Viridis at t, 0 the best and 1 the worst; the best stands out from the background.
function viridis(t) {
  const at = Math.min(1, Math.max(0, dark.matches ? 1 - 0.88 * t : 0.9 * t)) * (VIRIDIS.length - 1);
  const [low, part] = [Math.min(Math.floor(at), VIRIDIS.length - 2), at - Math.min(Math.floor(at), VIRIDIS.length - 2)];
  const channel = (text, n) => parseInt(text.slice(1 + 2 * n, 3 + 2 * n), 16);
  const mixed = [0, 1, 2].map((n) => Math.round(channel(VIRIDIS[low], n) * (1 - part) + channel(VIRIDIS[low + 1], n) * part));
  return `rgb(${mixed.join(",")})`;
}

/// Black or white, whichever is legible on `rgb(r,g,b)`.
function inkOn(color) {
  const [r, g, b] = color.match(/\d+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
}

// A function returns the whole option of a chart, so that it can be redrawn in other colours.
const charts = new Map();

/// Draws into `chart-<id>`, if the page has it; `height` and the minimum `width` in pixels if they depend on the data.
function draw(id, option, height, width) {
  const host = byId(`chart-${id}`);
  if (!host) return null;
  if (width) host.style.minWidth = `${width}px`;
  if (height) host.style.height = `${height}px`;
  const chart = echarts.init(host, null, { renderer: "svg" });
  const entry = { chart, redraw: () => chart.setOption({ ...base(), ...option(chart.getWidth()) }, true) };
  chart.on("finished", () => (host.dataset.drawn = host.querySelectorAll("svg path, svg polyline").length));
  entry.redraw();
  charts.set(id, entry);
  return chart;
}

/// Redraws a chart, if the page has it.
const redraw = (id) => charts.get(id)?.redraw();

function base() {
  const [ink, dim, line] = [css("--ink"), css("--dim"), css("--line")];
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink },
    tooltip: { confine: true, backgroundColor: css("--card"), borderColor: line, textStyle: { color: ink, fontSize: 12 } },
    dim, line, ink,
  };
}

/// The style of an axis; `more` overrides it.
function axis(more) {
  const { ink, dim, line } = base();
  return {
    nameTextStyle: { color: dim }, nameGap: 28, nameLocation: "middle",
    ...more,
    axisLine: { show: true, onZero: false, lineStyle: { color: dim }, ...more.axisLine },
    axisLabel: { color: ink, ...more.axisLabel },
    axisTick: { lineStyle: { color: dim }, ...more.axisTick },
    splitLine: { lineStyle: { color: line }, ...more.splitLine },
  };
}

let narrow = innerWidth;
addEventListener("resize", () => {
  for (const { chart, redraw: again } of charts.values()) {
    chart.resize();
    if (innerWidth !== narrow) again();
  }
  narrow = innerWidth;
});
dark.addEventListener("change", () => {
  document.dispatchEvent(new Event("recolour"));
  for (const id of charts.keys()) redraw(id);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Pages opened from a file have no clipboard in some browsers.
    getSelection().selectAllChildren(source);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
});
