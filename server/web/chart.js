// A line over the last seconds, on a canvas; colours are the page's, so that it follows light and dark.

const SECONDS = { small: 60, detailed: 120 };
const ROUND = [1, 2, 2.5, 5, 10];

/** Return the round number at or above a value: 1, 2, 2.5 or 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return ROUND.find((step) => step * power >= value) * power;
}

export class Chart {
  #canvas;
  #shown;
  #least;
  #isDetailed;
  #values = [];
  #isDue = false;

  /** `shown` turns a value into text; the scale reaches to `least` at least. */
  constructor(canvas, shown, least) {
    this.#least = least;
    this.#canvas = canvas;
    this.#shown = shown;
    this.#isDetailed = "detailed" in canvas.parentElement.dataset;
    new ResizeObserver(() => this.#request()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#request());
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > SECONDS[this.#isDetailed ? "detailed" : "small"] + 1) this.#values.shift();
    this.#request();
  }

  clear() {
    this.#values = [];
    this.#request();
  }

  #request() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  #draw() {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    const style = getComputedStyle(canvas);
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const top = roundUp(Math.max(...this.#values, this.#least));
    const foot = this.#isDetailed ? 1 : 2;
    const head = this.#isDetailed ? 18 : 3;
    const y = (value) => height - foot - (value / top) * (height - foot - head);
    if (this.#isDetailed) this.#drawGrid(pen, width, y, top, style);
    const seconds = SECONDS[this.#isDetailed ? "detailed" : "small"];
    const x = (index) => width - 3 - ((this.#values.length - 1 - index) / seconds) * (width - 3);
    this.#drawLine(pen, x, y, style.getPropertyValue("--chart"));
  }

  #drawGrid(pen, width, y, top, style) {
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.fillStyle = style.getPropertyValue("--soft");
    pen.font = `12px ${style.fontFamily}`;
    for (const value of [0, top / 2, top]) {
      pen.beginPath();
      pen.moveTo(0, Math.round(y(value)) - 0.5);
      pen.lineTo(width, Math.round(y(value)) - 0.5);
      pen.stroke();
      if (value) pen.fillText(this.#shown(value), 0, y(value) - 5);
    }
  }

  #drawLine(pen, x, y, colour) {
    const values = this.#values;
    if (!values.length) return;
    pen.beginPath();
    values.forEach((value, index) => pen.lineTo(x(index), y(value)));
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    pen.stroke();
    pen.lineTo(x(values.length - 1), y(0));
    pen.lineTo(x(0), y(0));
    pen.globalAlpha = 0.14;
    pen.fill();
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(x(values.length - 1), y(values.at(-1)), 2.5, 0, 7);
    pen.fill();
  }
}
