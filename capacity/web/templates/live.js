// Shows the state of the run, and puts each new report into the page without moving what the reader looks at.
"use strict";

const bar = document.querySelector(".live");
const fields = Object.fromEntries([...document.querySelectorAll("[data-live]")].map((one) => [one.dataset.live, one]));
const shown = { report: 0 };
let state = null;
let receivedAt = 0;

const stream = new EventSource("events");
stream.onmessage = (event) => {
  state = JSON.parse(event.data);
  receivedAt = performance.now();
  keepPosition(showState);
  update();
};
stream.onopen = () => bar.classList.remove("lost");
stream.onerror = () => {
  bar.classList.add("lost");
  setText(fields.state, "Connection lost");
  setText(fields.activity, "the figures are no longer current; trying again");
  fields.phase.textContent = fields.budget.textContent = "";
};
setInterval(() => { if (state && !state.ended && !bar.classList.contains("lost")) showClock(); }, 1000);

function showState() {
  bar.classList.toggle("ended", Boolean(state.ended));
  setText(fields.state, state.ended ? "Ended" : "In progress");
  setText(fields.activity, state.ended || state.activity);
  showClock();
  fields.figures.replaceChildren(...(state.ended ? [] : state.figures.map(figure)));
  fields.problem.hidden = !state.problem;
  if (state.ended && !state.report) document.getElementById("waiting")?.remove();
  setText(fields.problem, state.problem);
}

function showClock() {
  const passed = (performance.now() - receivedAt) / 1000;
  const left = (seconds) => Math.max(0, Math.round(seconds - passed));
  const phase = state.phase_left_s === null || !left(state.phase_left_s) ? "" : ` ${left(state.phase_left_s)} s`;
  setText(fields.phase, state.ended || !state.phase ? "" : `· ${state.phase}${phase}`);
  setText(fields.budget, state.ended || state.budget_left_s === null ? "" : `· at most ${left(state.budget_left_s)} s to go`);
}

function figure([label, value]) {
  const group = document.createElement("div");
  for (const [name, text] of [["dt", label], ["dd", value]]) {
    group.appendChild(document.createElement(name)).textContent = text;
  }
  return group;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let isUpdating = false;
async function update() {
  if (isUpdating) return;
  isUpdating = true;
  try {
    while (shown.report < state.report) {
      const number = state.report;
      const response = await fetch("report.html");
      if (!response.ok) break;
      showReport(new DOMParser().parseFromString(await response.text(), "text/html"));
      shown.report = number;
    }
    if (state.ended) stream.close();
  } catch {
    // The connection is lost; the next event comes with the next connection.
  } finally {
    isUpdating = false;
  }
}

function showReport(report) {
  document.title = state.ended ? report.title : `In progress: ${report.title}`;
  // Other files beside the report are not served.
  for (const link of report.querySelectorAll("a[href]:not([href^='#'])")) link.removeAttribute("href");
  keepPosition(() => morph(document.querySelector("main"), report.querySelector("main")));
}

// Keep the topmost visible element where it is while `change` changes the page.
function keepPosition(change) {
  const parts = window.scrollY > 0 ? [...document.querySelectorAll("main :is(figure, h2, h3, p, tr, dt)")] : [];
  const anchor = parts.find((one) => one.getBoundingClientRect().bottom > bar.getBoundingClientRect().bottom);
  const before = anchor?.getBoundingClientRect().top;
  change();
  if (anchor?.isConnected) {
    window.scrollBy({ top: anchor.getBoundingClientRect().top - before, behavior: "instant" });
  }
}

// Change `old` into `fresh`, and keep the elements that both have: with them their scroll position, focus and selection.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.nodeName === "svg") {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  const isReaders = (name) => old.nodeName === "DETAILS" && name === "open";
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !isReaders(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !isReaders(name)) old.setAttribute(name, value);
  }
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const match = child.id ? [...old.children].find((one) => one.id === child.id) : at?.id ? null : at;
    if (!match) {
      old.insertBefore(child, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else old.insertBefore(match, at);
    morph(match, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
