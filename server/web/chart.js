// A line chart of the last seconds, on a canvas, in the colours of the page's theme.

const SECONDS = { small: 60, detailed: 120 };
const ROUND_STEPS = [1, 2, 2.5, 5, 10];

/** Return the next round number: 1, 2, 2.5 or 5 times a power of ten. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return ROUND_STEPS.find((step) => step * power >= value) * power;
}

export class Chart {
  #canvas;
  #format;
  #minimumTop;
  #isDetailed;
  #values = [];
  #isDue = false;

  /** `format` turns a value into text; the scale reaches at least to `minimumTop`. */
  constructor(canvas, format, minimumTop) {
    this.#minimumTop = minimumTop;
    this.#canvas = canvas;
    this.#format = format;
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
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const top = roundUp(Math.max(...this.#values, this.#minimumTop));
    const foot = this.#isDetailed ? 1 : 3; // the radius of the last point
    const head = this.#isDetailed ? 18 : 3;
    const y = (value) => height - foot - (value / top) * (height - foot - head);
    if (this.#isDetailed) this.#drawGrid(context, width, y, top, style);
    const seconds = SECONDS[this.#isDetailed ? "detailed" : "small"];
    const x = (index) => width - 3 - ((this.#values.length - 1 - index) / seconds) * (width - 3);
    this.#drawLine(context, x, y, style.getPropertyValue("--chart"));
  }

  #drawGrid(context, width, y, top, style) {
    context.strokeStyle = style.getPropertyValue("--line");
    context.fillStyle = style.getPropertyValue("--soft");
    context.font = `12px ${style.fontFamily}`;
    for (const value of [0, top / 2, top]) {
      context.beginPath();
      context.moveTo(0, Math.round(y(value)) - 0.5);
      context.lineTo(width, Math.round(y(value)) - 0.5);
      context.stroke();
      if (value) context.fillText(this.#format(value), 0, y(value) - 5);
    }
  }

  #drawLine(context, x, y, colour) {
    const values = this.#values;
    if (!values.length) return;
    context.beginPath();
    values.forEach((value, index) => context.lineTo(x(index), y(value)));
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.stroke();
    context.lineTo(x(values.length - 1), y(0));
    context.lineTo(x(0), y(0));
    context.globalAlpha = 0.14;
    context.fill();
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(x(values.length - 1), y(values.at(-1)), 2.5, 0, 7);
    context.fill();
  }
}
