// What the page shows comes from the training, or, in a recorded page, from RECORDED.
const POLL = 250;                   // milliseconds between two questions
let description = null, state = null, records = [], svgs = [];
let chosen = null;                  // the number of the layer that is shown large
let cursor = null;                  // the step that is pointed at; null for the latest
let known = {};                     // the pictures of layers, by path
let shownDrawing = null, times = [];

// ---- asking the training -------------------------------------------------------------------------
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

const breakable = name => name.replace(/[._]/g, "$&\u200b");         // after each dot and underscore
const pathOf = number => description.layers[number].path;
function at() {                     // the record at the cursor
  if (!records.length) return null;
  if (cursor === null) return records.at(-1);
  return records.findLast(record => record.step <= cursor) || records[0];
}

function valueAt([steps, values]) {
  if (cursor === null) return values.at(-1);
  const i = steps.findLastIndex(step => step <= cursor);
  return values[Math.max(0, i)];
}

const ORDER = ["loss", "learning rate"];
const rank = name => ORDER.findIndex(first => name.startsWith(first)) + 1 || 9;
const asTitle = name => breakable(name.charAt(0).toUpperCase() + name.slice(1));

function lastOf([steps, values]) {  // what is written beside a curve
  const wrong = values.findIndex(value => !Number.isFinite(value));
  return say(valueAt([steps, values])) + (wrong < 0 ? "" : `, not finite since step ${steps[wrong].toLocaleString("en")}`);
}
const RATIOS = "relative update";

function drawAllCurves() {
  const names = Object.keys(state.curves).sort((a, b) => rank(a) - rank(b));
  const ratios = [];
  description.layers.forEach((layer, i) => Object.keys(layer.parameters).forEach((name, j) => {
    const found = records.map(record => [record.step, record.layers[i].changes[j]]).filter(([, x]) => x !== null && x !== 0);
    if (found.length) ratios.push([found.map(x => x[0]), found.map(x => x[1]), i === chosen]);
  }));
  const all = names.map(name => [name, [state.curves[name]], null]);
  if (ratios.length) all.splice(names.filter(name => rank(name) < 9).length, 0, [RATIOS, ratios, 1e-3]);
  const box = document.querySelector(".curves");
  if (box.children.length !== all.length) {
    box.replaceChildren();
    for (const [name] of all) {
      const curve = element("div", {className: "curve"}, box), p = element("p", {}, curve);
      element("b", {}, p); element("output", {}, p);
      const canvas = element("canvas", {}, curve);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", name);
      follow(canvas, LEFT);
    }
  }
  all.forEach(([name, curves, band], i) => {
    const curve = box.children[i];
    curve.querySelector("b").textContent = asTitle(name);
    curve.querySelector("output").textContent = band ? "of each parameter" : lastOf(curves[0]);
    drawCurves(curve.querySelector("canvas"), curves, band);
  });
}

// ---- the layers ----------------------------------------------------------------------------------
const told = histogram => !histogram ? "" : [histogram[2] === null ? "" : `rms ${say(histogram[2])}`,
  histogram[3] > 0.005 ? `${say(100 * histogram[3])}% zeros` : "",
  histogram[4] ? `${histogram[4]} not finite` : ""].filter(Boolean).join(", ");

// what the four columns of a row show: of the first parameter; of the output
const COLUMNS = [["Weights", layer => layer.values[0]], ["Their gradients", layer => layer.gradients[0]],
  ["Activations", layer => layer.activations], ["Their gradients", layer => layer.flowing]];

const MISSING = ["", "no gradient", "not in the graph", ""];
const rows = () => document.querySelectorAll(".row");

function named(i, j) {              // which parameter a row shows, if it is not the weight
  const [name] = Object.keys(description.layers[i].parameters);
  return j > 1 || name === "weight" || COLUMNS[j][1](at().layers[i]) === null ? "" : `${name}: `;
}

function buildRows() {
  description.layers.forEach((layer, i) => {
    const row = element("button", {className: "row"}, $("rows"));
    const name = element("span", {className: "name"}, row);
    element("b", {textContent: breakable(layer.path) || "the network"}, name);
    element("span", {textContent: ` ${layer.kind}`}, name);
    COLUMNS.forEach(([title], j) => {
      const cell = element("span", {}, row);
      if (j > 1 || Object.keys(layer.parameters).length) {
        cell.dataset.title = title;
        follow(element("canvas", {}, cell), 0);
      }
      element("small", {}, cell);
    });
    const shared = Object.values(layer.shared);
    if (shared.length) element("span", {textContent: `, shares ${shared.join(" and ")}`}, name);
    row.onclick = () => choose(chosen === i ? null : i);
  });
}

function drawRows() {
  if (!$("rows").children.length) buildRows();
  const now = at();
  const near = [...rows()].map((row, i) => [row, i, row.getBoundingClientRect()])
    .filter(([, , {top, bottom}]) => bottom > -innerHeight && top < 2 * innerHeight);
  near.forEach(([row, i]) => {      // others are drawn when they are scrolled to: there may be hundreds
    row.setAttribute("aria-expanded", i === chosen);
    COLUMNS.forEach(([, pick], j) => {
      const cell = row.children[j + 1], canvas = cell.querySelector("canvas");
      if (!canvas) return;
      drawHistograms(canvas, records.map(record => pick(record.layers[i])), 0);
      cell.querySelector("small").textContent = now ? named(i, j) + told(pick(now.layers[i])) || MISSING[j] : "";
    });
  });
}

// ---- one layer -----------------------------------------------------------------------------------
function choose(number) {
  chosen = number;
  if (location.protocol !== "about:")           // in a notebook, it has no address
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
  if (box.previousElementSibling !== rows()[chosen]) rows()[chosen].after(box);
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
    plot.querySelector("b").textContent = asTitle(title) + (shape && shape.length ? ` ${shape.join(" × ")}` : "");
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
    const what = picture.name === "output" ? "Output for the first item of the batch" : asTitle(picture.name);
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
  const colour = norm => !Number.isFinite(norm) ? `rgba(${colours.positive},0.6)`
    : norm <= 0 ? "" : `rgba(${colours.positive},${(0.06 + 0.54 * (high > low ? (Math.log10(norm) - low) / (high - low) : 1)).toFixed(2)})`;
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
    document.createTextNode((norms.length ? say(10 ** high) : "") + (Object.values(now.norms).every(Number.isFinite) ? "" : "; some are not finite")));
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

function travel(event) {            // through time, with the keyboard, once the training has ended
  if (!records.length || !["ArrowLeft", "ArrowRight", "Home", "End", "Escape"].includes(event.key)) return false;
  const now = records.indexOf(at()), most = records.length - 1;
  const to = {ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: most}[event.key];
  cursor = to === undefined ? null : records[Math.max(0, Math.min(most, to))].step;
  draw();
  return true;
}

$("pause").onclick = () => act(state.paused ? "go" : "pause");
$("step").onclick = () => act("step");
followKeys(event => {
  if (!state) return false;
  if (state.ended) return travel(event);
  if (event.key === " ") { if (!event.repeat) act(state.paused ? "go" : "pause"); }
  else if (event.key === "ArrowRight") act("step");
  else return false;
  return true;
}, "button,[role=button]");
addEventListener("resize", draw);
addEventListener("scroll", () => { if (state && description) drawRows(); }, {passive: true});
followTheme(draw);

function begin(found) {             // with the layer after the # in the address
  description = found;
  const path = decodeURIComponent(location.hash.slice(1));
  const number = description.layers.findIndex(layer => layer.path === path);
  if (location.hash && number >= 0) chosen = number;
}

if (RECORDED) { begin(RECORDED.description); takeAll(RECORDED); }
else request("/description").then(answer => { begin(answer); poll(); }).catch(fail);
