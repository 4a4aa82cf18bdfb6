"use strict";
// The address names two runs. Their figures are in this page, their reports are shown in frames.
const runs = JSON.parse(document.getElementById("runs").textContent);
const sides = ["before", "after"];
const isPhone = matchMedia("(max-width: 640px)");
const form = document.querySelector("form");

const element = (name, text = "", properties = {}) =>
  Object.assign(document.createElement(name), { textContent: text }, properties);

function chosen() {
  const address = new URLSearchParams(location.search);
  return sides.map((side) => runs.find((run) => run.name === address.get(side)));
}

function fillForm(pair) {
  sides.forEach((side, i) => {
    const select = form.elements[side];
    if (!pair[i]) select.append(element("option", "choose a run", { value: "", selected: true }));
    for (const run of runs)
      select.append(element("option", `${run.title}: ${run.asked["kind of run"]}, ${run.headline}`,
        { value: run.name, selected: run === pair[i] }));
    select.addEventListener("change", () => {
      if (sides.every((one) => form.elements[one].value)) form.submit();
    });
  });
  document.getElementById("swap").addEventListener("click", () => {
    const [before, after] = sides.map((side) => form.elements[side]);
    [before.value, after.value] = [after.value, before.value];
    if (before.value && after.value) form.submit();
  });
}

function showAnswers(pair) {
  pair.forEach((run, i) => {
    const card = element("div", "", { className: "answer" });
    const link = element("a", run.title, { href: `${encodeURIComponent(run.name)}/report.html` });
    const heading = element("div", `${sides[i]}: `, { className: "overline" });
    heading.append(link);
    card.append(heading, element("b", run.headline), element("p", run.sentence));
    document.getElementById("answers").append(card);
  });
}

function showQuestion([before, after]) {
  const list = document.getElementById("asked");
  for (const name of Object.keys({ ...before.asked, ...after.asked })) {
    const [was, now] = [before, after].map((run) => run.asked[name] || "none");
    if (was !== now) list.append(element("dt", name), element("dd", `${was} → ${now}`));
  }
  if (!list.childElementCount) list.append(element("dt", "question and machine"), element("dd", "the same"));
}

// As the command `compare` judges one run of each side.
function figureRow(name, [was, now]) {
  const [text, value, measured, isInterval, moreIsBetter, minDifference] = was;
  const ratio = value ? now[1] / value : null;
  const row = { name, before: text, after: now[0], ratio, change: "", note: "" };
  const difference = now[1] - value;
  if (!difference || Math.abs(difference) < minDifference || (ratio !== null && Math.abs(ratio - 1) < 0.01)) return row;
  row.change = difference > 0 === moreIsBetter ? "better" : "worse";
  const ends = [measured, now[2]].map((values) => values.map((end) => end ?? Infinity));
  const low = Math.max(...ends.map((values) => Math.min(...values)));
  const high = Math.min(...ends.map((values) => Math.max(...values)));
  const overlap = ends.every((values) => values.length > 1) && (isInterval ? low < high : low <= high);
  if (overlap) [row.change, row.note] = ["", "within the spread"];
  return row;
}

function rowsOf([before, after]) {
  const verdicts = Object.entries(before.verdicts)
    .filter(([group, verdict]) => (after.verdicts[group] ?? verdict) !== verdict)
    .map(([group, verdict]) => {
      const now = after.verdicts[group];
      const change = now === "pass" ? "better" : verdict === "pass" && now === "fail" ? "worse" : "differs";
      return { name: `${group}: verdict`, before: verdict, after: now, ratio: null, change, note: "" };
    });
  const figures = Object.entries(before.figures)
    .filter(([name]) => name in after.figures)
    .map(([name, figure]) => figureRow(name, [figure, after.figures[name]]));
  const ofTheRun = ({ name }) => !name.includes(": ");
  return [...figures.filter(ofTheRun), ...verdicts, ...figures.filter((row) => !ofTheRun(row))];
}

function fillTable(table, rows) {
  const head = table.createTHead().insertRow();
  for (const title of ["figure", "before", "after", "ratio", "change"])
    head.append(element("th", title, { scope: "col", className: ["figure", "change"].includes(title) ? "words" : "" }));
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    line.append(element("th", row.name, { scope: "row", className: "words" }));
    for (const text of [row.before, row.after, row.ratio === null ? "" : row.ratio.toFixed(2)]) line.append(element("td", text));
    const cell = element("td", "", { className: "words" });
    const colour = { better: "pass", worse: "fail" }[row.change] ?? "";
    cell.append(element("b", row.change, { className: colour }), row.change && row.note ? `, ${row.note}` : row.note);
    line.append(cell);
  }
}

function showFigures(pair) {
  const rows = rowsOf(pair);
  const isShown = (row) => row.change || !row.name.includes(": ");
  const [changed, others] = [rows.filter(isShown), rows.filter((row) => !isShown(row))];
  const doubt = document.getElementById("doubt");
  if (!rows.length) doubt.textContent = "The runs have no figure in common.";
  else if (!rows.some((row) => row.change)) doubt.textContent = "No figure differs by more than the runs' own spread.";
  else doubt.textContent = "One run of each side cannot tell whether a difference is noise.";
  const [table, details] = ["figures", "unchanged"].map((id) => document.getElementById(id));
  if (changed.length) fillTable(table, changed);
  else table.parentElement.hidden = true;
  details.hidden = !others.length;
  details.querySelector("summary").textContent = `${others.length} figures without a difference`;
  fillTable(details.querySelector("table"), others);
}

function showReports(pair) {
  const frames = pair.map((run, i) => {
    const place = element("div", "", { className: "frame" });
    const frame = element("iframe", "", { title: `report ${sides[i]}`, src: `${encodeURIComponent(run.name)}/report.html` });
    place.append(element("h3", `${sides[i]}: ${run.title}`), frame);
    document.getElementById("frames").append(place);
    return frame;
  });
  const bar = document.getElementById("sections");
  const titles = new Map([["", "Answer"], ...pair.flatMap((run) => run.sections)]);
  for (const [key, title] of titles) {
    const button = element("button", title, { type: "button" });
    button.dataset.section = key;
    button.addEventListener("click", () => {
      // Replacing the address adds nothing to the browser's history, and is allowed from a file.
      pair.forEach((run, i) => {
        if (key && !run.sections.some(([one]) => one === key)) return;
        const address = new URL(`${encodeURIComponent(run.name)}/report.html`, location.href);
        // On a phone the two drawings fit without their titles.
        address.hash = isPhone.matches ? key.replace(/^chart-/, "drawing-") : key;
        frames[i].contentWindow.location.replace(address.href);
      });
      bar.querySelector("[aria-current]")?.removeAttribute("aria-current");
      button.setAttribute("aria-current", "true");
    });
    bar.append(button);
  }
}

const pair = chosen();
fillForm(pair);
if (pair.every(Boolean)) {
  document.getElementById("both").hidden = false;
  document.title = `${pair[0].title} and ${pair[1].title}`;
  for (const show of [showAnswers, showQuestion, showFigures, showReports]) show(pair);
} else {
  const problem = document.getElementById("problem");
  problem.hidden = false;
  problem.textContent = location.search
    ? "One of the runs is not in this folder. Choose two runs."
    : "Choose two runs.";
}
