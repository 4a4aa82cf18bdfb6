// Shows the values of a chart at the pointer, or at the last touch.
(() => {
  let at; // the chart, by its number, and the position of the pointer in percent of its width

  const clear = () => {
    for (const element of document.querySelectorAll(".stampede-charts .reading")) element.remove();
  };

  const show = () => {
    clear();
    const plot = at && document.querySelectorAll(".stampede-charts .plot")[at.chart];
    const readings = plot ? JSON.parse(plot.dataset.readings) : [];
    if (!readings.length) return;
    const distance = ([percent]) => Math.abs(percent - at.percent);
    const [percent, text] = readings.reduce((one, other) => (distance(other) < distance(one) ? other : one));
    const line = document.createElement("span");
    line.className = "reading line";
    line.style.left = `${percent}%`;
    const label = document.createElement("span");
    label.className = "reading";
    label.textContent = text;
    label.style.left = `${percent}%`;
    label.style.transform = `translateX(-${percent}%)`; // so that the label stays inside the drawing
    plot.append(line, label);
  };

  const read = (event) => {
    const plot = event.target.closest?.(".stampede-charts .plot");
    if (!plot && !at) return;
    const { left, width } = plot?.getBoundingClientRect() ?? {};
    const plots = [...document.querySelectorAll(".stampede-charts .plot")];
    at = plot && { chart: plots.indexOf(plot), percent: (100 * (event.clientX - left)) / width };
    show();
  };

  document.addEventListener("pointermove", read);
  document.addEventListener("pointerdown", read);
  // A new drawing of the same chart keeps the pointer's place.
  document.addEventListener("stampede-charts-drawn", show);
})();
