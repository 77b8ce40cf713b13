"use strict";
// What the page shows comes from the training, or, in a recorded page, from RECORDED.
const $ = id => document.getElementById(id);
const SIDE = 82, BINS = 2 * SIDE + 1, LOWEST = -30;     // as in history.py
const POLL = 250;                   // milliseconds between two questions
let description = null, state = null, records = [], svgs = [];
let chosen = null;                  // the number of the layer that is shown large
let cursor = null;                  // the step that is pointed at; null for the latest
let known = {};                     // the pictures of layers, by path
let shownDrawing = null, times = [];

// ---- asking the training -------------------------------------------------------------------------
async function request(path, body) {
  const answer = await fetch(path, body && {method: "POST", body: JSON.stringify(body)})
    .catch(() => { throw new Error("The training does not answer: its process has ended."); });
  const content = await answer.json();
  if (content.error) throw new Error(content.error);
  return content;
}

function fail(error) {
  $("error").textContent = error.message;
  $("error").hidden = false;
}

async function poll() {
  try {
    take(await request(`/state?thinned=${state ? state.thinned : 0}&known=${records.length}`));
    if (state.ended) return takeAll(await request("/everything"));
    while (svgs.length < state.drawings) svgs.push((await request(`/drawing?number=${svgs.length}`)).svg);
    if (chosen !== null) known[pathOf(chosen)] = (await request(`/pictures?path=${encodeURIComponent(pathOf(chosen))}`)).pictures;
    draw();
  } catch (error) {
    return fail(error);
  }
  setTimeout(poll, POLL);
}

function take(answer) {
  state = answer;
  records = records.slice(0, answer.first).concat(answer.records);
  times.push([performance.now(), state.step]);
  if (times.length > 12) times.shift();
}

function takeAll(everything) {
  description = everything.description;
  records = [];
  take(everything.state);
  svgs = everything.drawings;
  known = everything.pictures;
  draw();
}

function act(what) {
  if (!state || state.ended) return;
  state.paused = what !== "go";
  draw();
  request("/do", {do: what}).catch(fail);
}

// ---- numbers and colours -------------------------------------------------------------------------
const pathOf = number => description.layers[number].path;
const say = x => typeof x !== "number" ? (x === null || x === undefined ? "" : String(x))
  : (x && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e6) ? x.toExponential(1) : String(+x.toPrecision(3))).replace(/-/g, "−");
let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "faint", "rule", "paper", "accent", "warm"])
    colours[name] = style.getPropertyValue("--" + name).trim();
  for (const name of ["positive", "negative", "dense"])
    colours[name] = style.getPropertyValue("--" + name).split(",").map(Number);
}

function at() {                     // the record at the cursor
  if (!records.length) return null;
  if (cursor === null) return records.at(-1);
  return records.findLast(record => record.step <= cursor) || records[0];
}

function fitted(canvas) {           // its context, in CSS pixels
  const ratio = window.devicePixelRatio || 1, {clientWidth: w, clientHeight: h} = canvas;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, w, h);
  context.font = "11px sans-serif";
  context.textBaseline = "middle";
  return [context, w, h];
}

function element(name, properties, parent) {
  const made = Object.assign(document.createElement(name), properties);
  parent.append(made);
  return made;
}

const LEFT = 46;                    // pixels for the numbers beside a plot
const last = () => Math.max(1, state.step);
const across = (step, w, left) => left + step / last() * (w - left);

function follow(canvas, left) {     // the mouse over a plot points at a step
  canvas.onpointermove = event => {
    const w = canvas.clientWidth;
    cursor = Math.max(0, Math.min(last(), (event.offsetX - left) / (w - left) * last()));
    draw();
  };
  canvas.onpointerleave = () => { cursor = null; draw(); };
}

function drawCursor(context, w, h, left) {
  if (cursor === null) return;
  const x = across(cursor, w, left);
  context.strokeStyle = colours.warm; context.lineWidth = 1;
  context.beginPath(); context.moveTo(x, 0); context.lineTo(x, h); context.stroke();
}

// ---- curves --------------------------------------------------------------------------------------
// Each is [steps, values]. On a logarithmic scale if all are positive and they differ by far.
function drawCurves(canvas, curves, band) {
  const [context, w, h] = fitted(canvas);
  const finite = curves.flatMap(([, values]) => values).filter(Number.isFinite);
  if (!finite.length) return drawCursor(context, w, h, LEFT);
  let low = Math.min(...finite), high = Math.max(...finite);
  const log = !!band || (low > 0 && high / low > 50);
  const scale = log ? x => Math.log10(Math.max(x, 1e-12)) : x => x;
  if (band) { low = Math.min(Math.max(low, 1e-9), band / 10); high = Math.max(high, band * 10); }
  [low, high] = [scale(low), scale(high)];
  if (!log && low > 0 && low < 0.5 * high) low = 0;
  if (high - low < 1e-9) { low -= Math.abs(low) / 10 + 1e-9; high += Math.abs(high) / 10 + 1e-9; }
  const up = x => h - 7 - (scale(x) - low) / (high - low) * (h - 14);
  const marks = !log ? [0, 0.5, 1].map(share => low + share * (high - low))
    : Array.from({length: Math.floor(high) - Math.ceil(low) + 1}, (_, i) => Math.ceil(low) + i);
  const every = Math.ceil(marks.length / 5);
  context.strokeStyle = colours.rule; context.fillStyle = colours.faint; context.lineWidth = 1;
  for (const mark of (log && marks.length < 2 ? [low, high] : marks).filter((_, i) => i % every === 0)) {
    const value = log ? 10 ** mark : mark, y = up(value);
    context.beginPath(); context.moveTo(LEFT, y); context.lineTo(w, y); context.stroke();
    context.fillText(say(value), 0, y);
  }
  if (band) {
    context.strokeStyle = colours.warm; context.setLineDash([4, 3]);
    context.beginPath(); context.moveTo(LEFT, up(band)); context.lineTo(w, up(band)); context.stroke();
    context.setLineDash([]);
  }
  curves.forEach(([steps, values], i) => {
    const isChosen = curves.length === 1 || curves[i][2];
    context.beginPath();
    let drawing = false;
    steps.forEach((step, j) => {
      if (!Number.isFinite(values[j])) { drawing = false; return; }
      const x = across(step, w, LEFT), y = up(values[j]);
      if (drawing) context.lineTo(x, y); else context.moveTo(x, y);
      if (steps.length === 1) context.arc(x, y, 2, 0, 7);
      drawing = true;
    });
    context.strokeStyle = isChosen ? colours.ink : colours.accent;
    context.globalAlpha = isChosen ? 1 : 0.45;
    context.lineWidth = isChosen ? 1.7 : 1.2;
    context.stroke();
    context.globalAlpha = 1;
  });
  drawCursor(context, w, h, LEFT);
}

function valueAt([steps, values]) {
  if (cursor === null) return values.at(-1);
  const i = steps.findLastIndex(step => step <= cursor);
  return values[Math.max(0, i)];
}

const ORDER = ["loss", "learning rate"];
const RATIOS = "relative update";

function drawAllCurves() {
  const names = Object.keys(state.curves).sort((a, b) => (ORDER.indexOf(a) + 1 || 9) - (ORDER.indexOf(b) + 1 || 9));
  const ratios = [];
  description.layers.forEach((layer, i) => Object.keys(layer.parameters).forEach((name, j) => {
    const found = records.map(record => [record.step, record.layers[i].changes[j]]).filter(([, x]) => x !== null && x !== 0);
    if (found.length) ratios.push([found.map(x => x[0]), found.map(x => x[1]), i === chosen]);
  }));
  const all = names.map(name => [name, [state.curves[name]], null]);
  if (ratios.length) all.splice(Math.min(2, all.length), 0, [RATIOS, ratios, 1e-3]);
  const box = document.querySelector(".curves");
  if (box.children.length !== all.length) {
    box.replaceChildren();
    for (const [name] of all) {
      const curve = element("div", {className: "curve"}, box), p = element("p", {}, curve);
      element("b", {}, p); element("output", {}, p);
      const canvas = element("canvas", {}, curve);
      canvas.setAttribute("aria-label", name);
      follow(canvas, LEFT);
    }
  }
  all.forEach(([name, curves, band], i) => {
    const curve = box.children[i];
    curve.querySelector("b").textContent = name[0].toUpperCase() + name.slice(1);
    curve.querySelector("output").textContent = band ? "of each parameter"
      : say(valueAt(curves[0]));
    drawCurves(curve.querySelector("canvas"), curves, band);
  });
}

// ---- histograms over time ------------------------------------------------------------------------
// A histogram is [first bin, heights, root mean square, share of zeros, how many are not finite].
const decoded = new Map();

function heights(text) {
  if (!decoded.has(text)) {
    if (decoded.size > 20000) decoded.clear();
    decoded.set(text, Uint8Array.from(atob(text), c => c.charCodeAt(0)));
  }
  return decoded.get(text);
}

const middle = bin => {             // the value that a bin stands for
  const k = Math.abs(bin - SIDE) - 1;
  return k < 0 ? 0 : Math.sign(bin - SIDE) * 2 ** (LOWEST + Math.floor(k / 2)) * (k % 2 ? 1.75 : 1.25);
};

function drawHistograms(canvas, histograms, left) {
  const [context, w, h] = fitted(canvas);
  const steps = records.map(record => record.step);
  let low = BINS, high = -1;
  for (const histogram of histograms) if (histogram) {
    low = Math.min(low, histogram[0]);
    high = Math.max(high, histogram[0] + heights(histogram[1]).length - 1);
  }
  if (high < 0) return;
  // bins near zero that hold next to nothing are left out: the picture begins where a bin is full enough
  const weight = new Float64Array(BINS);
  for (const histogram of histograms) if (histogram) heights(histogram[1]).forEach((x, i) => {
    weight[histogram[0] + i] = Math.max(weight[histogram[0] + i], x);
  });
  const full = 0.15 * Math.max(...weight.filter((_, bin) => bin !== SIDE));
  const isFull = bin => weight[bin] > 0 && weight[bin] >= full;
  let inner = SIDE;                 // half-octaves from zero up to the first that is full
  for (let k = 1; k <= SIDE; k++) if (isFull(SIDE + k) || isFull(SIDE - k)) { inner = k; break; }
  const shown = [];                 // the bins from top to bottom
  for (let bin = high; bin >= low; bin--)
    if (bin === SIDE || Math.abs(bin - SIDE) >= inner) shown.push(bin);
  if (low > SIDE) shown.push(SIDE);
  if (high < SIDE) shown.unshift(SIDE);
  const image = new ImageData(Math.max(1, Math.round(w - left)), shown.length), wide = image.width;
  let record = 0;
  for (let x = 0; x < wide; x++) {
    const step = (x + 1) / wide * last();
    while (record + 1 < steps.length && steps[record + 1] <= step) record++;
    const histogram = steps[record] <= step + last() / wide ? histograms[record] : null;
    if (!histogram) continue;
    const values = heights(histogram[1]);
    shown.forEach((bin, y) => {
      const value = values[bin - histogram[0]] || 0;
      image.data.set(colours.dense, 4 * (y * wide + x));
      image.data[4 * (y * wide + x) + 3] = value;
    });
  }
  small.width = wide; small.height = shown.length;
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, left, 0, w - left, h);
  const zero = (shown.indexOf(SIDE) + 0.5) / shown.length * h;
  context.strokeStyle = colours.faint; context.lineWidth = 0.8; context.globalAlpha = 0.6;
  context.beginPath(); context.moveTo(left, zero); context.lineTo(w, zero); context.stroke();
  context.globalAlpha = 1;
  if (left) {
    context.fillStyle = colours.faint;
    const rows = [0, shown.length - 1, shown.indexOf(SIDE), Math.floor(shown.indexOf(SIDE) / 2),
      Math.floor((shown.indexOf(SIDE) + shown.length) / 2)];
    const taken = [];
    for (const row of rows) {
      const y = Math.max(6, Math.min(h - 6, (row + 0.5) / shown.length * h));
      if (row < 0 || row >= shown.length || taken.some(other => Math.abs(other - y) < 12)) continue;
      taken.push(y);
      context.fillText(say(middle(shown[row])), 0, y);
    }
  }
  drawCursor(context, w, h, left);
}
const small = document.createElement("canvas");

const told = histogram => !histogram ? "" : [`rms ${say(histogram[2])}`,
  histogram[3] > 0.005 ? `${say(100 * histogram[3])}% zeros` : "",
  histogram[4] ? `${histogram[4]} not finite` : ""].filter(Boolean).join(", ");

// what the four columns of a row show: of the first parameter; of the output
const COLUMNS = [["Weights", layer => layer.values[0]], ["Their gradients", layer => layer.gradients[0]],
  ["Activations", layer => layer.activations], ["Their gradients", layer => layer.flowing]];

function buildRows() {
  description.layers.forEach((layer, i) => {
    const row = element("button", {className: "row"}, $("rows"));
    const name = element("span", {className: "name"}, row);
    element("b", {textContent: layer.path || "the network"}, name);
    element("span", {textContent: ` ${layer.kind}`}, name);
    COLUMNS.forEach(([title], j) => {
      const cell = element("span", {}, row);
      if (j > 1 || Object.keys(layer.parameters).length) {
        cell.dataset.title = title;
        follow(element("canvas", {}, cell), 0);
      }
      element("small", {}, cell);
    });
    row.onclick = () => choose(chosen === i ? null : i);
  });
}

function drawRows() {
  if (!$("rows").children.length) buildRows();
  const now = at();
  [...$("rows").children].forEach((row, i) => {
    row.setAttribute("aria-expanded", i === chosen);
    COLUMNS.forEach(([, pick], j) => {
      const cell = row.children[j + 1], canvas = cell.querySelector("canvas");
      if (!canvas) return;
      drawHistograms(canvas, records.map(record => pick(record.layers[i])), 0);
      cell.querySelector("small").textContent = now ? told(pick(now.layers[i])) : "";
    });
  });
}

// ---- one layer -----------------------------------------------------------------------------------
function choose(number) {
  chosen = number;
  history.replaceState(null, "", number === null ? "#" : "#" + encodeURIComponent(pathOf(number)));
  draw();
  if (!RECORDED && number !== null && state && !state.ended)
    request(`/pictures?path=${encodeURIComponent(pathOf(number))}`)
      .then(answer => { known[pathOf(number)] = answer.pictures; draw(); }).catch(fail);
}

function drawDetail() {
  const box = $("detail"), layer = chosen === null ? null : description.layers[chosen];
  box.hidden = !layer;
  if (!layer) return;
  const names = Object.keys(layer.parameters), now = at();
  const plots = names.flatMap((name, j) => [[name, layer => layer.values[j]], [`gradient of ${name}`, layer => layer.gradients[j]]]);
  plots.push(["activations", layer => layer.activations], ["gradient of the activations", layer => layer.flowing]);
  if (box.dataset.layer !== String(chosen)) {
    box.dataset.layer = chosen;
    box.replaceChildren();
    const top = element("div", {className: "top"}, box);
    element("h2", {textContent: `${layer.path || "the network"}: ${layer.kind}`}, top);
    const shut = element("button", {textContent: "Close"}, top);
    shut.onclick = () => choose(null);
    const all = element("div", {className: "plots"}, box);
    for (const _ of plots) {
      const plot = element("div", {className: "curve"}, all), p = element("p", {}, plot);
      element("b", {}, p); element("output", {}, p);
      follow(element("canvas", {}, plot), LEFT);
    }
    element("div", {className: "maps"}, box);
  }
  plots.forEach(([title, pick], i) => {
    const plot = box.querySelector(".plots").children[i];
    const shape = layer.parameters[title];
    plot.querySelector("b").textContent = title[0].toUpperCase() + title.slice(1) + (shape && shape.length ? ` ${shape.join(" × ")}` : "");
    plot.querySelector("output").textContent = now ? told(pick(now.layers[chosen])) : "";
    drawHistograms(plot.querySelector("canvas"), records.map(record => pick(record.layers[chosen])), LEFT);
  });
  drawPictures(box.querySelector(".maps"), known[layer.path] || []);
}

function drawPictures(box, pictures) {
  const text = JSON.stringify(pictures);
  if (box.dataset.shown === text + colours.ink) return;
  box.dataset.shown = text + colours.ink;
  box.replaceChildren();
  for (const picture of pictures) {
    const [tiles, peak] = tilesOf(picture);
    if (!tiles.length) continue;
    const map = element("div", {className: "map"}, box), of = picture.of || 1;
    const what = picture.name === "output" ? "Output for the first item of the batch" : `${picture.name[0].toUpperCase()}${picture.name.slice(1)}`;
    element("h3", {textContent: what}, map);
    const line = element("div", {className: "tiles"}, map);
    for (const [high, wide, cells] of tiles) {
      const canvas = element("canvas", {width: wide, height: high}, line), most = tiles.length > 1 ? 52 : 280;
      const zoom = Math.max(1, Math.min(14, Math.floor(most / Math.max(high, wide))));
      canvas.style.width = wide * zoom + "px"; canvas.style.height = high * zoom + "px";
      const image = new ImageData(wide, high);
      cells.forEach((x, i) => {
        image.data.set(x > 0 ? colours.positive : colours.negative, 4 * i);
        image.data[4 * i + 3] = Math.round(255 * Math.min(1, Math.abs(x)));
      });
      canvas.getContext("2d").putImageData(image, 0, 0);
    }
    element("p", {className: "faint", textContent: `${picture.shape.join(" × ") || "a number"}; full colour is ±${say(peak)}`
      + (tiles.length < of ? `; the first ${tiles.length} of ${of}` : "") + (picture.every > 1 ? `; each cell is a mean` : "")}, map);
  }
}

function tilesOf(picture) {         // each as [height, width, cells from −1 to 1]; and what ±1 stands for
  if (picture.values) {
    const shape = picture.shape.filter((n, i, all) => n > 1 || i >= all.length - 2);
    const wide = shape.at(-1) || 1, high = shape.at(-2) || 1;
    const values = picture.values.map(x => Number.isFinite(x) ? x : 0);
    const peak = Math.max(0, ...values.map(Math.abs));
    return [Array.from({length: values.length / (wide * high) || 0}, (_, i) =>
      [high, wide, values.slice(i * wide * high, (i + 1) * wide * high).map(x => x / (peak || 1))]), peak];
  }
  const [count, high, wide] = picture.tiles, cells = [...atob(picture.map)].map(c => (c.charCodeAt(0) || 128) / 127 - 128 / 127);
  return [Array.from({length: count}, (_, i) => [high, wide, cells.slice(i * high * wide, (i + 1) * high * wide)]), picture.peak];
}

// ---- the graph -----------------------------------------------------------------------------------
function drawGraph() {
  const now = at();
  if (!now || now.drawing === null || !svgs[now.drawing]) return;
  const box = $("drawing");
  if (shownDrawing !== now.drawing) {
    shownDrawing = now.drawing;
    box.replaceChildren();
    box.append(document.createRange().createContextualFragment(svgs[now.drawing]));
  }
  const norms = [...box.querySelectorAll("[data-vertex]")].map(v => now.norms[v.dataset.vertex])
    .filter(x => Number.isFinite(x) && x > 0).map(Math.log10);
  const low = Math.min(...norms), high = Math.max(...norms);
  const colour = norm => !Number.isFinite(norm) ? `rgb(${colours.positive})`
    : norm <= 0 ? "" : `rgba(${colours.positive},${(0.06 + 0.79 * (high > low ? (Math.log10(norm) - low) / (high - low) : 1)).toFixed(2)})`;
  const said = norm => norm === undefined ? "" : `the gradient here has norm ${say(norm)}`;
  for (const vertex of box.querySelectorAll("[data-vertex]")) {
    const norm = now.norms[vertex.dataset.vertex];
    paint(vertex, norm === undefined ? "" : colour(norm), said(norm));
  }
  for (const folded of box.querySelectorAll("[data-box]")) {
    const inside = [...folded.querySelectorAll("[data-vertex]")].map(v => now.norms[v.dataset.vertex]).filter(x => x !== undefined);
    const most = inside.some(x => !Number.isFinite(x)) ? NaN : Math.max(...inside);
    paint(folded, folded.classList.contains("folded") && inside.length ? colour(most) : "", "");
  }
  $("scale").replaceChildren(document.createTextNode("Norms of the gradients: "),
    document.createTextNode(norms.length ? say(10 ** low) : ""), Object.assign(document.createElement("span"), {className: "key"}),
    document.createTextNode(norms.length ? say(10 ** high) : ""));
}

function paint(group, colour, note) {
  group.querySelector(":scope > rect").style.fill = colour;
  const title = group.querySelector(":scope > title");
  if (!title || !note) return;
  if (title.dataset.about === undefined) title.dataset.about = title.textContent;
  title.textContent = `${title.dataset.about}\n${note}`;
}

// ---- everything ----------------------------------------------------------------------------------
function draw() {
  if (!state || !description) return;
  document.title = $("title").textContent = description.title;
  $("pause").textContent = state.paused ? "Go on" : "Pause";
  document.querySelector(".live").hidden = RECORDED || state.ended;
  const [[t0, s0], [t1, s1]] = [times[0], times.at(-1)];
  const rate = !state.paused && !state.ended && t1 > t0 && s1 > s0 ? `, ${say((s1 - s0) / (t1 - t0) * 1000)} steps a second` : "";
  $("where").textContent = (cursor === null ? `step ${state.step.toLocaleString("en")}${rate}`
    : `at step ${at() ? at().step.toLocaleString("en") : 0} of ${state.step.toLocaleString("en")}`)
    + (state.ended ? ", ended" : state.paused ? ", paused" : "");
  drawAllCurves(); drawRows(); drawDetail(); drawGraph();
}

$("pause").onclick = () => act(state.paused ? "go" : "pause");
$("step").onclick = () => act("step");
let tabbed = false;                 // whether the focus was moved with the keyboard
addEventListener("pointerdown", () => { tabbed = false; });
addEventListener("keydown", event => {
  if (event.key === "Tab") tabbed = true;
  if (event.ctrlKey || event.metaKey || event.altKey || RECORDED) return;
  const isButton = event.target.closest("button,[role=button]");
  if (event.key === " " && tabbed && isButton) return;                              // it presses the button
  if (event.key === " " && !event.repeat) act(state.paused ? "go" : "pause");
  else if (event.key === "ArrowRight") act("step");
  else return;
  if (isButton) event.target.blur();
  event.preventDefault();
});
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme:dark)").onchange = () => { readColours(); draw(); };
readColours();

function begin(found) {             // with the layer after the # in the address
  description = found;
  const path = decodeURIComponent(location.hash.slice(1));
  const number = description.layers.findIndex(layer => layer.path === path);
  if (location.hash && number >= 0) chosen = number;
}

if (RECORDED) { begin(RECORDED.description); takeAll(RECORDED); }
else request("/description").then(answer => { begin(answer); poll(); }).catch(fail);
