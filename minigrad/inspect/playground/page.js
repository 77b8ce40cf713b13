// The page draws what the server tells it; minigrad, in the server, does all of the computing.
const SVG = "http://www.w3.org/2000/svg";
let state = null, points = null, running = false, show = "weights", mode = "look";
let shown = null;                   // the neuron whose map is shown large: [layer, neuron]
let line = null;                    // the weight that the mouse is on: [layer, from, to]
let nodes = [], lines = [];         // of each layer of neurons; of each layer of weights
const times = [];                   // when the latest updates came

// ---- asking the server --------------------------------------------------------------------------
let asked = Promise.resolve();      // one request after another

function act(body) {                // do something, and draw what has come of it
  asked = asked.then(async () => {
    state = await request(body ? "/do" : "/state", body);
    if (!points || points.moved !== state.moved) points = await request("/points");
    $("error").hidden = true;
    draw();
  }).catch(error => {
    running = false;
    $("error").textContent = error.message;
    $("error").hidden = false;
    if (state) draw();
  });
  return asked;
}

async function train() {            // as long as it runs, an update for each frame
  while (running) {
    await act({do: "train", steps: +$("steps").value});
    times.push(performance.now());
    if (times.length > 30) times.shift();
    await new Promise(done => setTimeout(done, 4));
  }
}

function play(on) {
  if (on === running) return;
  running = on;
  times.length = 0;
  if (on) train(); else draw();
}

// ---- colours ------------------------------------------------------------------------------------
function readTable() {
  colours.table = new Uint8ClampedArray(256 * 3);       // the colour of each step of a map
  for (let i = 0; i < 256; i++) {
    const strength = 0.62 * Math.min(1, Math.abs(i - 128) / 127);
    const full = i < 128 ? colours.negative : colours.positive;
    for (let c = 0; c < 3; c++)
      colours.table[3 * i + c] = colours.ground[c] + strength * (full[c] - colours.ground[c]);
  }
}

const rgb = x => `rgb(${(x > 0 ? colours.positive : colours.negative).join(",")})`;

function paint(canvas, map, size) { // a map as a picture of as many pixels
  const context = canvas.getContext("2d");
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const picture = context.createImageData(size, size), cells = atob(map);
  for (let i = 0; i < cells.length; i++) {
    const at = 3 * cells.charCodeAt(i);
    picture.data.set(colours.table.subarray(at, at + 3), 4 * i);
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

// ---- the network --------------------------------------------------------------------------------
const widths = () => [2, ...state.sizes, 1];
const HEAD = 40;                    // pixels above the neurons, for the buttons

function place(layer, neuron) {     // the middle of a neuron, in pixels
  const all = widths(), box = $("net"), edge = box.clientWidth < 500 ? 18 : 30;
  const pitch = Math.min(56, (box.clientHeight - HEAD) / 8);
  return [edge + layer * (box.clientWidth - 2 * edge) / (all.length - 1),
          HEAD + (box.clientHeight - HEAD) / 2 + (neuron - (all[layer] - 1) / 2) * pitch];
}

function build() {                  // make the neurons and the lines anew
  const net = $("net"), all = widths();
  for (const old of net.querySelectorAll(".neuron,.column")) old.remove();
  $("lines").replaceChildren();
  shown = line = null;
  lines = all.slice(1).map((n, layer) => Array.from({length: n}, (_, to) =>
    Array.from({length: all[layer]}, (_, from) => {
      const path = document.createElementNS(SVG, "path"), hit = path.cloneNode();
      hit.setAttribute("class", "hit");
      hit.onpointerenter = () => { line = [layer, from, to]; draw(); };
      hit.onpointerleave = () => { line = null; draw(); };
      $("lines").append(path, hit);
      return [path, hit];
    })));
  nodes = all.map((n, layer) => Array.from({length: n}, (_, neuron) => {
    const node = element("button", {className: "neuron"}, net);
    const canvas = element("canvas", {}, node);
    node.setAttribute("aria-label", nameOf(layer, neuron));
    if (layer === 0) element("span", {textContent: "xy"[neuron]}, node);
    node.onpointerenter = node.onfocus = () => { shown = [layer, neuron]; draw(); };
    node.onpointerleave = node.onblur = () => { shown = null; draw(); };
    return [node, canvas];
  }));
  state.sizes.forEach((n, i) => {
    const column = element("div", {className: "column"}, net);
    for (const [text, change, word] of [["−", -1, "Remove a neuron from"], ["+", 1, "Add a neuron to"]]) {
      const button = element("button", {textContent: text, disabled: n + change < 1 || n + change > 8}, column);
      button.setAttribute("aria-label", `${word} layer ${i + 1}`);
      button.onclick = () => act({do: "reshape", sizes: state.sizes.with(i, n + change)});
    }
  });
  arrange();
}

function arrange() {                // put everything where it belongs, also after a change of width
  nodes.forEach((layer, i) => layer.forEach(([node], j) => {
    const [x, y] = place(i, j);
    node.style.left = x + "px"; node.style.top = y + "px";
  }));
  $("net").querySelectorAll(".column").forEach((column, i) => { column.style.left = place(i + 1, 0)[0] + "px"; });
  lines.forEach((layer, i) => layer.forEach((row, to) => row.forEach((paths, from) => {
    const [x, y] = place(i, from), [u, v] = place(i + 1, to), bend = (u - x) / 2;
    for (const path of paths) path.setAttribute("d", `M${x} ${y}C${x + bend} ${y} ${u - bend} ${v} ${u} ${v}`);
  })));
}

const nameOf = (layer, neuron) => layer === 0 ? `the input ${"xy"[neuron]}`
  : layer > state.sizes.length ? "the output" : `neuron ${neuron + 1} of layer ${layer}`;
const say = x => typeof x !== "number" ? "not finite"
  : (x && Math.abs(x) < 1e-4 ? x.toExponential(1) : String(+x.toPrecision(3))).replace(/-/g, "−");
const percent = x => x < 1e-4 ? "less than 0.01%" : x > 0.9999 ? "more than 99.99%" : `${+(100 * x).toFixed(2)}%`;

function drawNetwork() {
  const values = show === "weights" ? state.weights : state.weight_gradients;
  const peak = Math.max(1e-12, ...values.flat(2).map(Math.abs));
  lines.forEach((layer, i) => layer.forEach((row, to) => row.forEach(([path], from) => {
    const x = values[i][to][from], strength = Math.abs(x) / peak;
    const on = line && line[0] === i && line[1] === from && line[2] === to;
    path.setAttribute("stroke", rgb(x));
    path.setAttribute("stroke-width", (0.6 + 5.4 * strength + (on ? 2 : 0)).toFixed(2));
    path.setAttribute("stroke-opacity", on ? 1 : (0.22 + 0.7 * Math.sqrt(strength)).toFixed(2));
  })));
  nodes.forEach((layer, i) => layer.forEach(([node, canvas], j) => {
    paint(canvas, state.maps[i][j], points.grid);
    node.classList.toggle("shown", !!shown && shown[0] === i && shown[1] === j);
  }));
  $("about").textContent = about();
}

function about() {
  const whose = state.chosen ? "of the chosen point" : "of the last batch";
  if (line) {
    const [layer, from, to] = line;
    return `The weight from ${nameOf(layer, from)} to ${nameOf(layer + 1, to)} is ${say(state.weights[layer][to][from])}; `
      + `its gradient, ${whose}, ${say(state.weight_gradients[layer][to][from])}.`;
  }
  if (shown && shown[0] > 0) {
    const [layer, neuron] = shown;
    return `The bias of ${nameOf(layer, neuron)} is ${say(state.biases[layer - 1][neuron])}; its gradient, ${whose}, `
      + `${say(state.bias_gradients[layer - 1][neuron])}. Its map is shown large, and full colour stands for ±${say(state.peaks[layer])}.`;
  }
  const what = show === "weights" ? "weight" : `gradient, ${whose},`;
  return `Each square shows what a neuron answers for each point of the plane. A line is as wide as its ${what} is large: `
    + "orange if it is positive, green if it is negative. Point at a line or a square to see its numbers.";
}

// ---- the plane and the curve --------------------------------------------------------------------
const small = document.createElement("canvas");

function drawSurface() {
  const [layer, neuron] = shown || [state.maps.length - 1, 0];
  const [context, w] = fitted($("surface")), {side, train} = points;
  if (shown && layer <= state.sizes.length) paint(small, state.maps[layer][neuron], points.grid);
  else paint(small, state.surface, points.fine);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, w, w);
  train.forEach(([x, y, label], i) => {
    const chosen = state.chosen && state.chosen.point === i;
    context.beginPath();
    context.arc((x + side) / 2 / side * w, (side - y) / 2 / side * w, chosen ? 7 : 3.6, 0, 7);
    context.fillStyle = rgb(label - 0.5);
    context.strokeStyle = chosen ? colours.ink : colours.paper;
    context.lineWidth = chosen ? 2.5 : 1.2;
    context.fill(); context.stroke();
  });
  $("shown").textContent = layer === 0 ? `Input ${"xy"[neuron]}`
    : layer > state.sizes.length ? "Output" : `Layer ${layer}, neuron ${neuron + 1}`;
}

function drawCurve() {
  const [context, w, h] = fitted($("curve")), {history} = state;
  const finite = history.flatMap(([, a, b]) => [a, b]).filter(Number.isFinite);
  const top = Math.max(0.1, ...finite), last = Math.max(1, history.length ? history.at(-1)[0] : 1);
  context.strokeStyle = colours.rule; context.fillStyle = colours.faint;
  context.lineWidth = 1;
  for (const share of [0, 0.5, 1]) {
    const y = h - 5 - share * (h - 14);
    context.beginPath(); context.moveTo(34, y); context.lineTo(w, y); context.stroke();
    context.fillText(say(share * top), 0, y);
  }
  for (const [column, colour, dash] of [[2, colours.warm, [4, 3]], [1, colours.ink, []]]) {
    context.beginPath();
    for (const point of history) if (Number.isFinite(point[column]))
      context.lineTo(34 + point[0] / last * (w - 36), h - 5 - point[column] / top * (h - 14));
    context.strokeStyle = colour; context.lineWidth = 1.8; context.setLineDash(dash);
    context.stroke();
  }
  context.setLineDash([]);
  const said = (i, kind, word) => history.length && history.at(-1)[i] !== null
    ? `<span class="key ${kind}"></span>${word} ${say(history.at(-1)[i])}, ${say(100 * state.accuracy[i - 1])}% right` : "";
  $("losses").innerHTML = [said(1, "", "training"), said(2, "test", "test")].filter(Boolean).join("<br>")
    || "There are no points yet. Choose a class above, and click into the plane.";
}

// ---- everything ---------------------------------------------------------------------------------
function draw() {
  if (JSON.stringify(nodes.map(layer => layer.length)) !== JSON.stringify(widths())) build();
  const {settings} = state, n = state.sizes.length;
  $("play").textContent = running ? "Pause" : "Train";
  $("play").disabled = $("step").disabled = !points.train.length;
  const rate = times.length > 2 && running ? `, ${Math.round(1000 * (times.length - 1) / (times.at(-1) - times[0]))} updates a second` : "";
  $("count").textContent = `step ${state.step.toLocaleString("en")}, epoch ${Math.floor(state.epoch).toLocaleString("en")}${rate}`;
  $("layers").textContent = `${n || "no"} hidden layer${n === 1 ? "" : "s"}`;
  $("fewer").disabled = n === 0; $("more").disabled = n === 5;
  for (const name of ["optimiser", "activation", "lr", "l2", "noise", "batch"])
    if (document.activeElement !== $(name)) $(name).value = settings[name];
  for (const name of ["noise", "batch"]) $(name + "-value").textContent = settings[name];
  for (const [id, value] of [["sets", settings.data], ["show", show], ["mode", mode]])
    for (const button of $(id).children) button.setAttribute("aria-pressed", button.value === value);
  drawNetwork(); drawSurface(); drawCurve(); drawChosen();
}

function drawChosen() {
  const chosen = state.chosen;
  $("chosen").hidden = !chosen;
  if (!chosen) return;
  if (!$("chosen").firstChild) {
    $("chosen").innerHTML = "<button aria-label='Choose no point'>×</button><span></span> <a target='_blank'>Its gradient, step by step</a>";
    $("chosen").firstChild.onclick = () => act({do: "choose", point: null});
  }
  $("chosen").children[1].textContent = `The point (${say(chosen.x)}, ${say(chosen.y)}) is of class ${chosen.label}. `
    + `For class 1 the network says ${percent(chosen.probability)}, so the loss is ${say(chosen.loss)}.`;
  $("chosen").lastChild.href = "/gradient?point=" + chosen.point;
}

// ---- what the user does -------------------------------------------------------------------------
const set = (name, value) => act({do: "set", name, value});
const step = () => { play(false); act({do: "train", steps: 1}); };
const reset = () => act({do: "reset"});
$("play").onclick = () => play(!running);
$("step").onclick = step;
$("reset").onclick = reset;
for (const button of $("sets").children) button.onclick = () => {
  mode = button.value === "drawn" ? "1" : "look";
  if (button.value === "drawn") play(false);
  set("data", button.value);
};
for (const button of $("show").children) button.onclick = () => { show = button.value; draw(); };
for (const button of $("mode").children) button.onclick = () => { mode = button.value; draw(); };
for (const name of ["optimiser", "activation"]) $(name).onchange = event => set(name, event.target.value);
for (const name of ["lr", "l2"]) $(name).onchange = event => set(name, +event.target.value);
for (const name of ["noise", "batch"]) $(name).oninput = event => set(name, +event.target.value);
$("fewer").onclick = () => act({do: "reshape", sizes: state.sizes.slice(0, -1)});
$("more").onclick = () => act({do: "reshape", sizes: [...state.sizes, state.sizes.at(-1) || 4]});
$("surface").onclick = event => {
  const {side, train} = points, w = $("surface").clientWidth;
  const x = event.offsetX / w * 2 * side - side, y = side - event.offsetY / w * 2 * side;
  if (mode !== "look") return act({do: "add", x: clip(x), y: clip(y), label: +mode});
  let best = null, nearest = 0.1 * side;
  train.forEach(([u, v], i) => { const d = Math.hypot(x - u, y - v); if (d < nearest) [best, nearest] = [i, d]; });
  if (best !== null) show = "gradients";
  return act({do: "choose", point: best});
};
const clip = x => Math.max(-points.side, Math.min(points.side, x));
followKeys(event => {
  if (event.target.matches("select")) return false;
  if (event.key === "ArrowRight" && event.target.matches("input")) return false;    // it moves the slider
  if (event.key === " ") { if (!event.repeat) play(!running); }
  else if (event.key === "ArrowRight") step();
  else if (event.key === "r") { if (!event.repeat) reset(); }
  else return false;
  return true;
});
addEventListener("resize", () => { if (state) { arrange(); draw(); } });
followTheme(() => { readTable(); if (state) draw(); });
readTable();
act();
