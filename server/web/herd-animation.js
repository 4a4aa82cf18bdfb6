// The herd: an animal for each connection, running the faster the more is delivered. Ornament; the numbers are the facts.

const MOST = 260; // animals on screen ...
const ROOM = 220; // ... each with so many square pixels
const FRAMES_PER_SECOND = 15;
const GAITS = 4;
const SIZE = 22; // of a sprite, in CSS pixels

/** Return how many animals stand for so many connections: each its own at first, then ever fewer. */
function animals(connections, { clientWidth, clientHeight }) {
  const most = Math.min(MOST, Math.round((clientWidth * clientHeight) / ROOM));
  return Math.min(most, connections <= 60 ? connections : Math.round(60 + 25 * Math.log2(connections / 60)));
}

export class HerdAnimation {
  #canvas;
  #pen;
  #runners = [];
  #wanted = 0;
  #speed = 0.3; // of full speed
  #dust = 0;
  #dustColour = "";
  #sprites = [];
  #last = 0;
  #isRunning = false;
  #isNew = true; // nothing was drawn yet: who is there need not come running
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
    new ResizeObserver(() => this.#fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#fit());
    document.addEventListener("visibilitychange", () => this.#run());
  }

  /** Take a report of the server's load. */
  show({ connections, deliveriesPerSecond }) {
    this.#wanted = animals(connections, this.#canvas);
    const heat = Math.min(1, Math.log10(1 + deliveriesPerSecond) / 5);
    this.#speed = 0.25 + 0.75 * heat;
    this.#dust = heat;
    while (this.#runners.length < this.#wanted) this.#runners.push(this.#newcomer());
    if (this.#calm.matches) {
      this.#runners.length = this.#wanted;
      this.#draw(0);
    }
    this.#run();
  }

  #newcomer() {
    const lane = Math.random();
    const width = this.#canvas.clientWidth;
    // Those who come run in from the left; where they run, and how fast, is their own.
    const isThere = this.#isNew || this.#calm.matches;
    const x = isThere ? Math.random() * width : -SIZE - Math.random() * width * 0.5;
    return { x, lane, pace: 0.8 + 0.4 * Math.random(), step: Math.random() * GAITS, isLeaving: false };
  }

  #fit() {
    const scale = devicePixelRatio || 1;
    this.#canvas.width = this.#canvas.clientWidth * scale;
    this.#canvas.height = this.#canvas.clientHeight * scale;
    this.#pen.setTransform(scale, 0, 0, scale, 0, 0);
    this.#dustColour = getComputedStyle(this.#canvas).getPropertyValue("--soft");
    this.#sprites = Array.from({ length: GAITS }, (_, gait) => this.#sprite(gait, scale));
    this.#draw(0);
  }

  /** Draw a bison: hump, head, four legs of which the gait moves two and two. */
  #sprite(gait, scale) {
    const sprite = document.createElement("canvas");
    sprite.width = sprite.height = SIZE * scale;
    const pen = sprite.getContext("2d");
    pen.scale(scale, scale);
    pen.fillStyle = pen.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue("--accent");
    pen.lineCap = "round";
    pen.lineWidth = 1.6;
    const swing = [-2.6, -0.8, 2.6, 0.8][gait];
    for (const [hip, way] of [[6, 1], [7.5, -1], [13, 1], [14.5, -1]]) {
      pen.beginPath();
      pen.moveTo(hip, 12);
      pen.lineTo(hip + swing * way, 17.5);
      pen.stroke();
    }
    pen.beginPath(); // rump, back, hump, head, beard, belly
    pen.moveTo(3, 10);
    pen.quadraticCurveTo(4, 6.5, 8, 7);
    pen.quadraticCurveTo(12, 2.5, 16, 6.5);
    pen.quadraticCurveTo(20, 7, 20, 11);
    pen.quadraticCurveTo(19.5, 14, 17.5, 13.5);
    pen.quadraticCurveTo(15, 14.5, 12, 13);
    pen.quadraticCurveTo(7, 14, 4, 12.5);
    pen.closePath();
    pen.fill();
    pen.beginPath(); // tail and horn
    pen.moveTo(3.2, 10);
    pen.lineTo(1.2, 8 + swing / 3);
    pen.moveTo(18, 6.6);
    pen.lineTo(19.4, 4.8);
    pen.lineWidth = 1;
    pen.stroke();
    return sprite;
  }

  #run() {
    const mayRun = !this.#calm.matches && !document.hidden && this.#runners.length > 0;
    if (!mayRun || this.#isRunning) return;
    this.#isRunning = true;
    this.#last = performance.now();
    const frame = (now) => {
      const seconds = (now - this.#last) / 1000;
      if (seconds >= 1 / FRAMES_PER_SECOND) {
        this.#last = now;
        this.#draw(Math.min(seconds, 0.2));
        this.#isNew = false;
      }
      this.#isRunning = !document.hidden && this.#runners.length > 0;
      if (this.#isRunning) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  #draw(seconds) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const pen = this.#pen;
    pen.clearRect(0, 0, width, height);
    const surplus = this.#runners.length - this.#wanted;
    this.#runners.slice(0, Math.max(0, surplus)).forEach((runner) => (runner.isLeaving = true));
    // Who is further down is nearer: drawn later, larger, faster.
    for (const runner of this.#runners.sort((a, b) => a.lane - b.lane)) {
      const near = 0.6 + 0.4 * runner.lane;
      runner.x += seconds * width * 0.22 * this.#speed * runner.pace * near * (runner.isLeaving ? 2.5 : 1);
      runner.step += seconds * 14 * this.#speed * runner.pace;
      if (runner.x > width + SIZE && !runner.isLeaving) runner.x = -SIZE - Math.random() * 40;
      const size = SIZE * near;
      const y = runner.lane * Math.max(0, height - SIZE - 2) + SIZE - size + 1;
      if (this.#dust) this.#puff(runner, size, y);
      const sprite = this.#sprites[Math.floor(runner.step) % GAITS];
      if (sprite) pen.drawImage(sprite, runner.x, y, size, size);
    }
    this.#runners = this.#runners.filter((runner) => !(runner.isLeaving && runner.x > width));
  }

  #puff(runner, size, y) {
    const pen = this.#pen;
    pen.fillStyle = this.#dustColour;
    pen.globalAlpha = 0.22 * this.#dust;
    for (let trail = 1; trail <= 3; trail += 1) {
      const wobble = Math.sin(runner.step * 2 + trail) * 1.5;
      pen.beginPath();
      pen.arc(runner.x - trail * 4, y + size * 0.78 + wobble, (1 + trail * 0.7) * this.#dust + 0.5, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }
}
