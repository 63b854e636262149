"use strict";
// D is the data: identifiers, places from 0 to 65535, columns of colors, thumbnails.
const $ = (id) => document.getElementById(id);
const decode = (text, kind) => new kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const X = decode(D.x, Uint16Array), Y = decode(D.y, Uint16Array), N = D.ids.length;
const FULL = 65535, CELLS = 256;
for (const column of D.columns) column.values = decode(column.values, column.kind === "class" ? Uint8Array : Float32Array);

// Colors of Okabe and Ito first; then hues in steps that differ most.
const CLASS_COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const classColor = (k) => k < CLASS_COLORS.length ? CLASS_COLORS[k] : `hsl(${(k * 137.5) % 360} 55% 50%)`;

const canvas = $("map"), pen = canvas.getContext("2d");
let view = { x: 0, y: 0, scale: 1 };  // the place at the center, and pixels for one step
let column = 0, hidden = new Set(), selected = new Set(), current = -1, lassoing = false, path = null, drag = null;
let groups = [], pending = false;

// Objects in cells, to find the one under the pointer.
const start = new Uint32Array(CELLS * CELLS + 1), sorted = new Uint32Array(N);
const cellOf = (i) => (Y[i] >> 8) * CELLS + (X[i] >> 8);
for (let i = 0; i < N; i++) start[cellOf(i) + 1]++;
for (let k = 0; k < CELLS * CELLS; k++) start[k + 1] += start[k];
{ const next = start.slice(); for (let i = 0; i < N; i++) sorted[next[cellOf(i)]++] = i; }
const leftToRight = Uint32Array.from({ length: N }, (_, i) => i).sort((a, b) => X[a] - X[b] || Y[a] - Y[b]);
const placeInRow = new Uint32Array(N);
leftToRight.forEach((i, k) => { placeInRow[i] = k; });

const width = () => canvas.clientWidth, height = () => canvas.clientHeight;
const toScreen = (i) => [width() / 2 + (X[i] - view.x) * view.scale, height() / 2 - (Y[i] - view.y) * view.scale];
const toPlace = (px, py) => [view.x + (px - width() / 2) / view.scale, view.y - (py - height() / 2) / view.scale];

function groupOf(i) {
  const c = D.columns[column];
  if (!c) return 0;
  if (c.kind === "class") return c.values[i];
  const v = c.values[i];
  return Number.isNaN(v) ? 255 : Math.max(0, Math.min(15, Math.floor(16 * (v - c.low) / (c.high - c.low))));
}
function colorOf(group) {
  const c = D.columns[column];
  if (group >= 254) return getComputedStyle(document.documentElement).getPropertyValue("--gray").trim();
  if (!c) return getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();
  return c.kind === "class" ? classColor(group) : D.scale[group];
}
function isShown(i) { return !(D.columns[column]?.kind === "class" && hidden.has(D.columns[column].values[i])); }

function regroup() {
  const lists = new Map();
  for (let i = 0; i < N; i++) {
    const g = groupOf(i);
    if (!lists.has(g)) lists.set(g, []);
    lists.get(g).push(i);
  }
  // Objects without a value first, so that they hide no other.
  groups = [...lists].sort((a, b) => b[0] - a[0]);
}

function draw() {
  pending = false;
  const ratio = window.devicePixelRatio || 1, w = width(), h = height();
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, w, h);
  const zoom = view.scale / fitScale();
  const dot = Math.max(1.6, Math.min(7, 70 / Math.sqrt(N) * Math.sqrt(zoom) + 1));
  pen.globalAlpha = N > 5000 ? 0.65 : 0.85;
  for (const [group, rows] of groups) {
    if (D.columns[column]?.kind === "class" && hidden.has(group)) continue;
    pen.fillStyle = colorOf(group);
    for (const i of rows) {
      const px = w / 2 + (X[i] - view.x) * view.scale, py = h / 2 - (Y[i] - view.y) * view.scale;
      if (px > -dot && py > -dot && px < w + dot && py < h + dot) pen.fillRect(px - dot / 2, py - dot / 2, dot, dot);
    }
  }
  pen.globalAlpha = 1;
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  pen.strokeStyle = ink; pen.lineWidth = 1;
  for (const i of selected) {
    const [px, py] = toScreen(i);
    pen.strokeRect(px - dot / 2 - 1.5, py - dot / 2 - 1.5, dot + 3, dot + 3);
  }
  if (current >= 0) {
    const [px, py] = toScreen(current);
    pen.lineWidth = 2; pen.beginPath(); pen.arc(px, py, dot + 4, 0, 2 * Math.PI); pen.stroke();
  }
  if (path) {
    pen.lineWidth = 1.5; pen.setLineDash([5, 4]); pen.beginPath();
    path.forEach(([px, py], k) => k ? pen.lineTo(px, py) : pen.moveTo(px, py));
    pen.closePath(); pen.stroke(); pen.setLineDash([]);
  }
}
function redraw() { if (!pending) { pending = true; requestAnimationFrame(draw); } }

const fitScale = () => Math.max(1e-6, Math.min(width(), height()) * 0.92 / FULL);
function showWhole() { view = { x: FULL / 2, y: FULL / 2, scale: fitScale() }; redraw(); }
function zoomAt(factor, px, py) {
  const [ax, ay] = toPlace(px, py);
  view.scale = Math.max(fitScale() / 2, Math.min(fitScale() * 2000, view.scale * factor));
  const [bx, by] = toPlace(px, py);
  view.x += ax - bx; view.y += ay - by;
  redraw();
}

function nearest(px, py) {
  const reach = 12 / view.scale, [x, y] = toPlace(px, py);
  const cell = (v) => Math.max(0, Math.min(CELLS - 1, Math.floor(v / 256)));
  let best = -1, least = reach * reach;
  for (let cy = cell(y - reach); cy <= cell(y + reach); cy++) {
    for (let cx = cell(x - reach); cx <= cell(x + reach); cx++) {
      const k = cy * CELLS + cx;
      for (let j = start[k]; j < start[k + 1]; j++) {
        const i = sorted[j], d = (X[i] - x) ** 2 + (Y[i] - y) ** 2;
        if (d < least && isShown(i)) { least = d; best = i; }
      }
    }
  }
  return best;
}

function valueOf(i) {
  const c = D.columns[column];
  if (!c) return "";
  if (c.kind === "class") return c.values[i] === 255 ? "" : c.values[i] === 254 ? "other" : c.names[c.values[i]];
  return Number.isNaN(c.values[i]) ? "" : String(Number(c.values[i].toPrecision(6)));
}
function setCurrent(i, announce) {
  current = i;
  const card = $("card");
  card.hidden = i < 0;
  if (i >= 0) {
    const [px, py] = toScreen(i), source = D.thumbnails[i];
    $("picture").hidden = !source;
    if (source) { $("picture").src = `data:image/jpeg;base64,${source}`; $("picture").alt = `Image of ${D.ids[i]}`; }
    const value = valueOf(i);
    $("words").textContent = D.ids[i] + (D.columns[column] ? `\n${D.columns[column].name}: ${value || "no value"}` : "");
    $("words").style.whiteSpace = "pre-line";
    card.style.left = `${Math.max(0, px + 18 + card.offsetWidth > width() ? px - 18 - card.offsetWidth : px + 18)}px`;
    card.style.top = `${Math.max(0, Math.min(py - 20, height() - card.offsetHeight))}px`;
    if (announce) say(`${D.ids[i]}${value ? `, ${value}` : ""}`);
  }
  redraw();
}

function say(text) { $("status").textContent = text; }
function select(rows, replace) {
  if (replace) selected = new Set();
  for (const i of rows) selected.add(i);
  showSelection();
}
function showSelection() {
  $("save").disabled = !selected.size;
  say(selected.size ? `${selected.size.toLocaleString("en")} selected` : "nothing selected");
  redraw();
}
function toggle(i) { if (i < 0) return; if (!selected.delete(i)) selected.add(i); showSelection(); }
function inside(polygon) {
  const found = [];
  for (let i = 0; i < N; i++) {
    if (!isShown(i)) continue;
    const [px, py] = toScreen(i);
    let odd = false;
    for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
      const [ax, ay] = polygon[a], [bx, by] = polygon[b];
      if ((ay > py) !== (by > py) && px < (bx - ax) * (py - ay) / (by - ay) + ax) odd = !odd;
    }
    if (odd) found.push(i);
  }
  return found;
}
function inView() {
  const found = [];
  for (let i = 0; i < N; i++) {
    const [px, py] = toScreen(i);
    if (isShown(i) && px >= 0 && py >= 0 && px <= width() && py <= height()) found.push(i);
  }
  return found;
}

const quote = (text) => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
function writeTable() {
  const c = D.columns[column], head = [D.idName, "map_x", "map_y", ...(c ? [c.name] : [])];
  const rows = [...selected].sort((a, b) => a - b).map((i) => [
    D.ids[i], (D.low[0] + D.span * X[i] / FULL).toPrecision(6), (D.low[1] + D.span * Y[i] / FULL).toPrecision(6),
    ...(c ? [valueOf(i)] : []),
  ]);
  return [head, ...rows].map((row) => row.map(quote).join(",")).join("\n") + "\n";
}
function save() {
  if (!selected.size) return say("select objects first");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([writeTable()], { type: "text/csv" }));
  link.download = "selected.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say(`${selected.size.toLocaleString("en")} identifiers saved`);
}

function buildLegend() {
  const c = D.columns[column], legend = $("legend");
  legend.replaceChildren();
  hidden = new Set();
  $("legend-title").textContent = c ? c.name : "Objects";
  if (!c) return;
  if (c.kind === "number") {
    const ramp = document.createElement("div"), ends = document.createElement("div");
    ramp.id = "ramp"; ends.id = "ends";
    ramp.style.background = `linear-gradient(to right, ${D.scale.join(", ")})`;
    for (const v of [c.low, c.high]) { const s = document.createElement("span"); s.textContent = Number(v.toPrecision(4)); ends.append(s); }
    legend.append(ramp, ends);
    return;
  }
  const counts = new Map();
  for (const v of c.values) counts.set(v, (counts.get(v) || 0) + 1);
  const entries = [...c.names.keys(), 254, 255].filter((k) => counts.has(k));
  for (const k of entries) {
    const button = document.createElement("button"), mark = document.createElement("i"), count = document.createElement("small");
    button.type = "button"; button.setAttribute("aria-pressed", "true");
    mark.style.background = colorOf(k);
    count.textContent = counts.get(k).toLocaleString("en");
    button.append(mark, k === 255 ? "no value" : k === 254 ? "other" : c.names[k], count);
    button.onclick = () => {
      if (!hidden.delete(k)) hidden.add(k);
      button.setAttribute("aria-pressed", String(!hidden.has(k)));
      setCurrent(-1);
    };
    legend.append(button);
  }
}
function setColumn(k) { column = k; $("column").value = k; regroup(); buildLegend(); setCurrent(-1); }
function setLasso(on) { lassoing = on; $("lasso").setAttribute("aria-pressed", String(on)); canvas.classList.toggle("lasso", on); }

const at = (event) => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  const [px, py] = at(event);
  if (lassoing || event.shiftKey) path = [[px, py]];
  else drag = { px, py, x: view.x, y: view.y, moved: false };
});
canvas.addEventListener("pointermove", (event) => {
  const [px, py] = at(event);
  if (path) { path.push([px, py]); redraw(); return; }
  if (drag) {
    if (Math.hypot(px - drag.px, py - drag.py) > 3) drag.moved = true;
    view.x = drag.x - (px - drag.px) / view.scale; view.y = drag.y + (py - drag.py) / view.scale;
    $("card").hidden = true; redraw();
    return;
  }
  const i = nearest(px, py);
  if (i !== current) setCurrent(i);
});
canvas.addEventListener("pointerup", (event) => {
  const [px, py] = at(event);
  if (path) { const found = path.length > 2 ? inside(path) : []; path = null; select(found, !event.ctrlKey && !event.metaKey); }
  else if (drag && !drag.moved) toggle(nearest(px, py));
  drag = null;
});
canvas.addEventListener("pointercancel", () => { path = drag = null; redraw(); });
canvas.addEventListener("pointerleave", () => { if (!drag && !path && document.activeElement !== canvas) setCurrent(-1); });
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoomAt(Math.exp(-event.deltaY / 400), ...at(event)); }, { passive: false });

function step(direction) {
  // From the object, or from the left edge of the view, to the next one that is shown.
  const seen = (i) => { const [px, py] = toScreen(i); return isShown(i) && px >= 0 && py >= 0 && px <= width() && py <= height(); };
  let k = current >= 0 ? placeInRow[current] + direction : direction > 0 ? 0 : N - 1;
  while (k >= 0 && k < N && !seen(leftToRight[k])) k += direction;
  if (k >= 0 && k < N) setCurrent(leftToRight[k], true); else say("no further object in the view");
}
function move(dx, dy) { view.x += dx * 60 / view.scale; view.y += dy * 60 / view.scale; setCurrent(-1); }
const KEYS = {
  ArrowLeft: () => move(-1, 0), ArrowRight: () => move(1, 0), ArrowUp: () => move(0, 1), ArrowDown: () => move(0, -1),
  "+": () => zoomAt(1.4, width() / 2, height() / 2), "=": () => zoomAt(1.4, width() / 2, height() / 2),
  "-": () => zoomAt(1 / 1.4, width() / 2, height() / 2), "0": showWhole,
  n: () => step(1), p: () => step(-1), Enter: () => toggle(current), l: () => setLasso(!lassoing),
  a: () => select(inView(), true), Escape: () => { path = null; setLasso(false); select([], true); }, s: save,
  c: () => { if (D.columns.length) setColumn((column + 1) % D.columns.length); }, "?": () => $("help").showModal(),
};
document.addEventListener("keydown", (event) => {
  const name = event.target.tagName;
  if (event.ctrlKey || event.metaKey || event.altKey || name === "INPUT" || name === "SELECT" || $("help").open) return;
  // A button keeps its own keys.
  if (name === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
$("find").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  const i = D.ids.indexOf($("find").value.trim());
  if (i < 0) return say(`no object ${$("find").value.trim()} on this map`);
  view = { x: X[i], y: Y[i], scale: Math.max(view.scale, 8 * fitScale()) };
  canvas.focus();
  setCurrent(i, true);
});
$("column").onchange = () => setColumn(Number($("column").value));
$("lasso").onclick = () => setLasso(!lassoing);
$("save").onclick = save;
$("whole").onclick = showWhole;
$("help-button").onclick = () => $("help").showModal();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { buildLegend(); redraw(); });

$("count").textContent = D.count;
$("across").textContent = D.axes[0];
$("up").textContent = D.axes[1];
D.columns.forEach((c, k) => $("column").append(new Option(c.name, k)));
$("column").parentElement.hidden = D.columns.length < 2;
new ResizeObserver(() => redraw()).observe(canvas);
regroup(); buildLegend(); showWhole();
say("drag to move, wheel to zoom, Shift and drag to select; ? shows the keys");
