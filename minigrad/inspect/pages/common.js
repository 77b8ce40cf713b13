"use strict";
const $ = id => document.getElementById(id);

function element(name, properties, parent) {
  const made = Object.assign(document.createElement(name), properties);
  parent.append(made);
  return made;
}

let colours = {};                   // the theme's, for canvases: as CSS, and those of mixtures as [r, g, b]

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "faint", "rule", "paper", "accent", "warm"])
    colours[name] = style.getPropertyValue("--" + name).trim();
  for (const name of ["positive", "negative", "ground"])
    colours[name] = style.getPropertyValue("--" + name).split(",").map(Number);
}

function followTheme(then) {        // read the colours now, and again whenever they change
  readColours();
  matchMedia("(prefers-color-scheme:dark)").onchange = () => { readColours(); then(); };
}

function fitted(canvas) {           // an empty canvas as sharp as the screen: its context and size, in CSS pixels
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

// Space and the arrow keys act on the page, except where they press the button that the Tab key has chosen.
// handle: from the event to whether it was for the page
function followKeys(handle, buttons = "button") {
  let tabbed = false;               // whether the focus was moved with the keyboard
  addEventListener("pointerdown", () => { tabbed = false; });
  addEventListener("keydown", event => {
    if (event.key === "Tab") tabbed = true;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const button = event.target.closest(buttons);
    if ((event.key === " " && tabbed && button) || !handle(event)) return;
    if (button && !tabbed) event.target.blur();
    event.preventDefault();
  });
}
