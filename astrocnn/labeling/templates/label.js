"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const KEYS = "123456789qwertyopadfgjklxcv";
const REPEAT_EVERY = 20, GAP = 20, IDLE = 60, FILM = 10, REPEATED = "_repeat";
const EXTRA = ["unsure", "skipped", "note", "seconds"];
const $ = (id) => document.getElementById(id);
const QUESTIONS = D.questions;
const COLUMNS = QUESTIONS.flatMap((q) => Object.keys(q.answers[0].values));
const HEADER = [...D.columns, ...COLUMNS, ...COLUMNS.map((c) => c + REPEATED), ...EXTRA];

// Labels by object; the queue holds objects, some of them a second time.
let labels = new Map(), queue = [], place = 0, past = [];
let panel = 0, zoom = 1, pan = [0, 0], light = 1, smooth = false, shownAt = Date.now(), stored = true;

// ------------------------------------------------------------------ labels and the queue

function empty() { return { first: {}, second: {}, unsure: false, skipped: false, note: "", seconds: 0 }; }
function get(i) { return labels.get(i) || empty(); }
function current() { return queue[place]; }
function nextQuestion(answers) {
  return QUESTIONS.find((q) => !(q.name in answers) &&
    (!q.depends_on || answers[q.depends_on[0]] === q.depends_on[1]));
}
function isDone(answers) { return Object.keys(answers).length > 0 && !nextQuestion(answers); }
function isFinished(entry) {
  const label = get(entry.i);
  return isDone(entry.again ? label.second : label.first) || label.skipped;
}
// A number that looks random but is the same every time, so that a page opened again repeats the same objects.
function isRepeated(i) {
  let h = (i + 1) * 2654435761 >>> 0;
  h ^= h >>> 15; h = Math.imul(h, 2246822519) >>> 0; h ^= h >>> 13;
  return h % REPEAT_EVERY === 0;
}
function mustRepeat(i) {
  const label = get(i);
  return (label.unsure || isRepeated(i)) && isDone(label.first) && !label.skipped;
}
function rebuildQueue() {
  const all = D.rows.map((_, i) => i).filter((i) => D.usable[i]);
  queue = all.map((i) => ({ i, again: false }));
  for (const i of all) if (mustRepeat(i)) queue.push({ i, again: true });
  place = queue.findIndex((entry) => !isFinished(entry));
  if (place < 0) place = queue.length;
}
function remember() {
  const entry = current();
  past.push({ place, i: entry.i, label: labels.has(entry.i) ? JSON.stringify(get(entry.i)) : null, queue: queue.slice() });
  if (past.length > 500) past.shift();
}
function change(edit) {
  const entry = current();
  if (!entry) return;
  remember();
  const label = structuredClone(get(entry.i));
  edit(label, entry.again ? "second" : "first");
  labels.set(entry.i, label);
  store();
}
function scheduleRepeat(i) {
  const waiting = queue.findIndex((entry) => entry.i === i && entry.again);
  if (mustRepeat(i) && waiting < 0) {
    queue.splice(Math.min(place + GAP, queue.length), 0, { i, again: true });
  } else if (!mustRepeat(i) && waiting > place && !isDone(get(i).second)) {
    queue.splice(waiting, 1);
  }
}
function answer(number) {
  const entry = current();
  if (!entry) return;
  let label = get(entry.i), pass = entry.again ? "second" : "first";
  let question = nextQuestion(label[pass]);
  const restart = !question;
  if (restart) question = QUESTIONS.find((q) => !q.depends_on);
  const chosen = question.answers[number];
  if (!chosen) return;
  change((l) => {
    if (restart) l[pass] = {};
    l[pass][question.name] = chosen.name;
    l.skipped = false;
    if (!entry.again) l.seconds = Math.round(10 * (l.seconds + Math.min((Date.now() - shownAt) / 1000, IDLE))) / 10;
  });
  shownAt = Date.now();
  if (isDone(get(entry.i)[pass])) {
    if (!entry.again) scheduleRepeat(entry.i);
    go(place + 1);
  } else render();
}
function skip() {
  const entry = current();
  if (!entry) return;
  if (!entry.again) change((l) => { l.skipped = true; l.first = {}; });
  go(place + 1);
}
function undo() {
  const step = past.pop();
  if (!step) return say("There is nothing to undo.");
  if (step.label === null) labels.delete(step.i); else labels.set(step.i, JSON.parse(step.label));
  queue = step.queue;
  store();
  go(step.place);
}
function toggleUnsure() {
  const entry = current();
  if (!entry || entry.again) return;
  change((l) => { l.unsure = !l.unsure; });
  scheduleRepeat(entry.i);
  render();
}
function writeNote() {
  const entry = current();
  if (entry && $("note").value !== get(entry.i).note) change((l) => { l.note = $("note").value; });
}
function go(to) {
  place = Math.max(0, Math.min(to, queue.length));
  zoom = 1; pan = [0, 0]; shownAt = Date.now();
  render();
}

// ------------------------------------------------------------------ the table of labels

function quote(text) { return /[",\r\n]|^\s|\s$/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text; }
function valuesOf(answers) {
  const values = {};
  for (const q of QUESTIONS) {
    const chosen = q.answers.find((a) => a.name === answers[q.name]);
    if (chosen) Object.assign(values, chosen.values);
  }
  return COLUMNS.map((c) => values[c] ?? "");
}
function writeTable() {
  const lines = [HEADER.map(quote).join(",")];
  for (const i of [...labels.keys()].sort((a, b) => a - b)) {
    const l = get(i);
    if (!Object.keys(l.first).length && !l.skipped && !l.note && !l.unsure) continue;
    const extra = [l.unsure ? "1" : "0", l.skipped ? "1" : "0", l.note, String(l.seconds)];
    // An object of which a question is still open has no label yet.
    const first = isDone(l.first) ? l.first : {}, second = isDone(l.second) ? l.second : {};
    lines.push([...D.rows[i], ...valuesOf(first), ...valuesOf(second), ...extra].map(quote).join(","));
  }
  return lines.join("\n") + "\n";
}
function parseTable(text) {
  const rows = [[]];
  let cell = "", inside = false, started = false;
  for (let k = 0; k < text.length; k++) {
    const c = text[k];
    if (inside) {
      if (c !== '"') cell += c;
      else if (text[k + 1] === '"') { cell += '"'; k++; }
      else inside = false;
    } else if (c === '"' && !started) { inside = started = true; }
    else if (c === ",") { rows.at(-1).push(cell); cell = ""; started = false; }
    else if (c === "\n" || c === "\r") {
      if (c === "\r" && text[k + 1] === "\n") k++;
      rows.at(-1).push(cell); cell = ""; started = false; rows.push([]);
    } else { cell += c; started = true; }
  }
  if (cell || rows.at(-1).length) rows.at(-1).push(cell); else rows.pop();
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}
function readAnswers(row, at, suffix) {
  const found = {};
  for (const q of QUESTIONS) {
    const names = Object.keys(q.answers[0].values);
    if (names.every((c) => at[c + suffix] === undefined || row[at[c + suffix]] === "")) continue;
    const chosen = q.answers.find((a) => names.every((c) => a.values[c] === row[at[c + suffix]]));
    if (!chosen) return null;
    found[q.name] = chosen.name;
  }
  return found;
}
function readTable(text) {
  const [header, ...rows] = parseTable(text);
  const at = Object.fromEntries((header || []).map((name, k) => [name, k]));
  const id = at[D.columns[D.id]];
  const missing = [D.columns[D.id], ...COLUMNS].filter((c) => at[c] === undefined);
  if (missing.length) return say(`This is not a table of these labels: it has no column ${missing.join(", ")}.`), false;
  const byId = new Map(D.rows.map((row, i) => [row[D.id], i]));
  const seen = new Set(), taken = new Map();
  let strange = 0;
  for (const row of rows) {
    const i = byId.get(row[id]);
    const first = readAnswers(row, at, ""), second = readAnswers(row, at, REPEATED);
    if (i === undefined || !first || !second) { strange++; continue; }
    if (seen.has(i)) return say(`The object ${row[id]} occurs twice in this table; nothing was loaded.`), false;
    seen.add(i);
    taken.set(i, {
      first, second, unsure: row[at.unsure] === "1", skipped: row[at.skipped] === "1",
      note: row[at.note] || "", seconds: Number(row[at.seconds]) || 0,
    });
  }
  for (const [i, label] of taken) labels.set(i, label);
  past = [];
  rebuildQueue();
  const left = strange ? `; ${strange} rows are of other objects or answers` : "";
  say(`${taken.size} labels were loaded${left}.`);
  return true;
}

// ------------------------------------------------------------------ keeping labels

let sending = null, again = false;
function store() {
  const state = JSON.stringify([...labels]);
  try { localStorage.setItem("astrocnn-" + D.key, state); stored = true; } catch { stored = false; }
  if (D.saveTo) send(); else showSaved(stored ? "" : "kept in this window only: save the labels", !stored);
}
async function send() {
  if (sending) { again = true; return; }
  do {
    again = false;
    sending = fetch(D.saveTo, { method: "POST", headers: { "Content-Type": "text/csv" }, body: writeTable() });
    try {
      const reply = await sending;
      showSaved(reply.ok ? "saved" : `not saved: ${await reply.text()}`, !reply.ok);
    } catch { showSaved(stored ? "server not reached; kept in this browser" : "not saved: save the labels", true); }
    sending = null;
  } while (again);
}
function showSaved(text, failed) { $("saved").textContent = text; $("saved").className = failed ? "failed" : ""; }
function restore() {
  if (D.labels && parseTable(D.labels).length > 1) readTable(D.labels);
  try {
    const kept = JSON.parse(localStorage.getItem("astrocnn-" + D.key) || "[]");
    for (const [i, label] of kept) if (D.usable[i] && !(D.labels && labels.has(i))) labels.set(i, { ...empty(), ...label });
  } catch { stored = false; }
  rebuildQueue();
  if (D.saveTo) showSaved("saved after each answer", false);
}
function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([writeTable()], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  showSaved("saved", false);
}

// ------------------------------------------------------------------ drawing

const decoded = new Map();
function load(i) {
  if (decoded.has(i)) return decoded.get(i);
  const image = new Image();
  image.src = "data:image/jpeg;base64," + D.images[i];
  decoded.set(i, image);
  if (decoded.size > 60) decoded.delete(decoded.keys().next().value);
  return image;
}
function whenReady(image, then) { if (image.complete && image.naturalWidth) then(); else image.addEventListener("load", then, { once: true }); }
function drawPanel(canvas, i, which) {
  const image = load(i), context = canvas.getContext("2d");
  whenReady(image, () => {
    context.imageSmoothingEnabled = canvas.width < D.size;
    context.drawImage(image, which * D.size, 0, D.size, D.size, 0, 0, canvas.width, canvas.height);
  });
}
function drawImage() {
  const entry = current(), canvas = $("image"), context = canvas.getContext("2d");
  const side = Math.max(64, Math.round(canvas.clientWidth * devicePixelRatio));
  if (canvas.width !== side) canvas.width = canvas.height = side;
  context.fillStyle = "#000";
  context.fillRect(0, 0, side, side);
  if (!entry) return;
  const image = load(entry.i);
  whenReady(image, () => {
    if (current() !== entry) return;
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "high";
    const span = D.size / zoom, free = (D.size - span) / 2;
    pan = pan.map((p) => Math.max(-free, Math.min(free, p)));
    context.filter = light === 1 ? "none" : `brightness(${light})`;
    context.drawImage(image, panel * D.size + free + pan[0], free + pan[1], span, span, 0, 0, side, side);
    context.filter = "none";
    if (D.scale) drawScale(context, side, span);
  });
}
function drawScale(context, side, span) {
  const most = 0.3 * span * D.scale, step = 10 ** Math.floor(Math.log10(most));
  const length = Math.max(...[1, 2, 5].map((m) => m * step).filter((l) => l <= most));
  const width = length / D.scale / span * side, left = 0.04 * side, y = 0.955 * side, unit = side / 640;
  context.lineCap = "butt";
  for (const [color, thick] of [["#000", 6], ["#fff", 2.5]]) {
    context.strokeStyle = color; context.lineWidth = thick * unit;
    context.beginPath(); context.moveTo(left, y); context.lineTo(left + width, y); context.stroke();
  }
  context.font = `${17 * unit}px Georgia, serif`;
  context.lineWidth = 4 * unit; context.strokeStyle = "#000"; context.fillStyle = "#fff"; context.textAlign = "center";
  const text = `${Number(length.toPrecision(1))}\u2033`;
  context.strokeText(text, left + width / 2, y - 9 * unit);
  context.fillText(text, left + width / 2, y - 9 * unit);
}
function thumbnail(i, which, pixels) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = pixels;
  canvas.style.width = canvas.style.height = pixels + "px";
  drawPanel(canvas, i, which);
  return canvas;
}
function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}
function readable(name) { return name.replaceAll("_", " "); }

function render() {
  const entry = current();
  renderQuestion(entry);
  renderPanels(entry);
  drawImage();
  renderProgress();
  renderFilm();
  for (const k of [1, 2, 3]) if (queue[place + k]) load(queue[place + k].i);
}
function renderPanels(entry) {
  const box = $("panels");
  box.replaceChildren();
  if (!entry || D.panels.length < 2) return;
  D.panels.forEach((name, k) => {
    const button = element("button");
    button.type = "button";
    button.setAttribute("role", "tab");
    button.setAttribute("aria-selected", String(k === panel));
    button.append(thumbnail(entry.i, k, 56), element("span", name));
    button.onclick = () => { panel = k; render(); };
    box.append(button);
  });
}
function renderQuestion(entry) {
  const answers = $("answers"), table = $("details").querySelector("table");
  answers.replaceChildren(); table.replaceChildren();
  // Closed until it is asked for: what the catalogue says must not suggest an answer.
  $("details").hidden = !entry;
  for (const id of ["skip", "unsure", "note"]) $(id).disabled = !entry;
  $("undo").disabled = !past.length;
  $("previous").disabled = place === 0;
  $("next").disabled = place >= queue.length;
  $("badge").hidden = !entry || !entry.again;
  for (const id of ["viewer", "note", "note-label"]) $(id).hidden = !entry;
  if (!entry) return renderEnd(answers);
  const label = get(entry.i), given = entry.again ? label.second : label.first;
  const open = nextQuestion(given), question = open || QUESTIONS.find((q) => !q.depends_on);
  const row = D.rows[entry.i];
  $("object").textContent = `${D.columns[D.id]} ${row[D.id]}`;
  $("trail").textContent = QUESTIONS.filter((q) => q.name in given)
    .map((q) => `${readable(q.name)}: ${readable(given[q.name])}`).join("  \u203a  ") + (label.skipped ? "skipped" : "");
  $("question").textContent = QUESTIONS.length > 1 ? readable(question.name) + "?" : "What is this?";
  answers.className = question.answers.length > 8 ? "many" : "";
  question.answers.forEach((a, k) => {
    const button = element("button", undefined, !open && given[question.name] === a.name ? "chosen" : "");
    button.type = "button";
    const count = [...labels.values()].filter((l) => l.first[question.name] === a.name).length;
    button.append(element("kbd", KEYS[k]), element("span", readable(a.name), "name"), element("span", count || "", "count"));
    button.onclick = () => answer(k);
    answers.append(button);
  });
  $("unsure").setAttribute("aria-pressed", String(label.unsure));
  $("unsure").disabled = entry.again;
  $("note").value = label.note;
  D.columns.forEach((name, k) => {
    if (k === D.id || row[k] === "" || row[k].length > 60) return;
    const line = element("tr");
    const value = Number.isFinite(Number(row[k])) && /[.e]/.test(row[k]) ? String(Number(Number(row[k]).toPrecision(7))) : row[k];
    line.append(element("td", name), element("td", value));
    table.append(line);
  });
}
function renderEnd(box) {
  $("object").textContent = ""; $("trail").textContent = ""; $("note").value = "";
  $("question").textContent = "All objects are labelled.";
  box.className = "";
  const end = element("div");
  end.id = "end";
  for (const q of QUESTIONS) {
    const table = element("table");
    for (const a of q.answers) {
      const line = element("tr");
      line.append(element("td", readable(a.name)), element("td", [...labels.values()].filter((l) => l.first[q.name] === a.name).length));
      table.append(line);
    }
    end.append(element("div", QUESTIONS.length > 1 ? readable(q.name) : ""), table);
  }
  const button = element("button", "Save labels");
  button.type = "button";
  button.onclick = download;
  box.append(end, button);
}
function renderProgress() {
  const total = D.usable.filter(Boolean).length, all = [...labels.values()];
  const done = all.filter((l) => isDone(l.first)).length, skipped = all.filter((l) => l.skipped).length;
  const left = total - done - skipped;
  $("bar").style.width = `${100 * (done + skipped) / total}%`;
  $("progress").setAttribute("aria-valuemax", total);
  $("progress").setAttribute("aria-valuenow", done + skipped);
  const parts = [`${done} of ${total}`];
  if (skipped) parts.push(`${skipped} skipped`);
  const times = all.filter((l) => l.seconds > 0).map((l) => l.seconds).slice(-50);
  if (times.length > 4 && left > 0) {
    const each = times.reduce((a, b) => a + b, 0) / times.length, minutes = each * left / 60;
    parts.push(`${each.toFixed(1)} s each`, minutes < 1 ? "less than a minute left" : `${Math.round(minutes)} min left`);
  }
  $("counts").textContent = parts.join(" \u00b7 ");
  $("consistency").textContent = describeConsistency();
}
function countRepeats() {
  let same = 0, n = 0;
  for (const l of labels.values()) {
    if (!isDone(l.second) || !isDone(l.first)) continue;
    n++;
    if (valuesOf(l.first).join() === valuesOf(l.second).join()) same++;
  }
  return [same, n];
}
function describeConsistency() {
  const [same, n] = countRepeats();
  if (!n) return "";
  // Wilson interval of 95 %.
  const z = 1.959964, p = same / n, d = 1 + z * z / n, mid = (p + z * z / (2 * n)) / d;
  const half = z * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d, percent = (x) => Math.round(100 * x);
  return `Second looks: ${same} of ${n} agree (${percent(p)} %, 95 % interval ${percent(mid - half)} to ${percent(mid + half)} %)`;
}
function renderFilm() {
  const film = $("film");
  film.replaceChildren();
  const recent = queue.slice(0, place).map((entry, k) => ({ entry, k })).filter(({ entry }) => isFinished(entry)).slice(-FILM);
  for (const { entry, k } of recent) {
    const label = get(entry.i), given = Object.values(entry.again ? label.second : label.first);
    const button = element("button");
    button.type = "button";
    button.title = D.rows[entry.i][D.id];
    button.append(thumbnail(entry.i, 0, 44), element("span", label.skipped ? "skipped" : readable(given.at(-1) || "")));
    button.onclick = () => go(k);
    film.append(button);
  }
}
let fading = 0;
function say(text) {
  $("message").textContent = text; $("message").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { $("message").hidden = true; }, 6000);
}

// ------------------------------------------------------------------ keys and mouse

function zoomBy(factor) { zoom = Math.max(1, Math.min(16, zoom * factor)); drawImage(); }
function cycle(step) { panel = (panel + step + D.panels.length) % D.panels.length; render(); }
const ACTIONS = {
  u: undo, Backspace: undo, s: skip, " ": skip, m: toggleUnsure, n: () => $("note").focus(),
  b: () => cycle(1), B: () => cycle(-1), i: () => { smooth = !smooth; drawImage(); },
  "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5),
  0: () => { zoom = light = 1; pan = [0, 0]; drawImage(); },
  "[": () => { light = Math.max(0.25, light / 1.25); drawImage(); }, "]": () => { light = Math.min(8, light * 1.25); drawImage(); },
  ArrowLeft: () => go(place - 1), ArrowRight: () => go(place + 1),
  h: () => $("help").showModal(), "?": () => $("help").showModal(),
};
document.addEventListener("keydown", (event) => {
  if ($("help").open) return;
  if (event.target === $("note")) {
    if (event.key === "Enter" || event.key === "Escape") { writeNote(); $("note").blur(); event.preventDefault(); }
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key === "z") { undo(); event.preventDefault(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat && !/^Arrow|[-+=]/.test(event.key)) return;
  // A focused button keeps its own keys.
  if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
  const action = ACTIONS[event.key], number = event.key.length === 1 ? KEYS.indexOf(event.key) : -1;
  if (action) action(); else if (number >= 0) answer(number); else return;
  event.preventDefault();
});
$("note").addEventListener("change", writeNote);
$("undo").onclick = undo; $("skip").onclick = skip; $("unsure").onclick = toggleUnsure;
$("previous").onclick = () => go(place - 1); $("next").onclick = () => go(place + 1);
$("download").onclick = download; $("help-button").onclick = () => $("help").showModal();
$("upload").addEventListener("change", async () => {
  const [file] = $("upload").files;
  if (file && readTable(await file.text())) { store(); go(place); }
  $("upload").value = "";
});
// A button that was clicked must not take the keys that follow.
document.addEventListener("click", (event) => { if (event.detail && event.target.closest("button")) document.activeElement.blur(); });
$("image").addEventListener("wheel", (event) => { zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2); event.preventDefault(); }, { passive: false });
let from = null;
$("image").addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY, ...pan]; $("image").setPointerCapture(event.pointerId); });
$("image").addEventListener("pointermove", (event) => {
  if (!from) return;
  const unit = D.size / zoom / $("image").clientWidth;
  pan = [from[2] - (event.clientX - from[0]) * unit, from[3] - (event.clientY - from[1]) * unit];
  drawImage();
});
for (const name of ["pointerup", "pointercancel"]) $("image").addEventListener(name, () => { from = null; });
addEventListener("resize", drawImage);
addEventListener("beforeunload", (event) => { writeNote(); if (!stored && labels.size) event.preventDefault(); });
restore();
go(place);
