// An animated herd: one animal per connection, faster with more deliveries. It only illustrates the numbers.

const MAX_ANIMALS = 260;
const PIXELS_PER_ANIMAL = 220; // square pixels of canvas per animal, at least
const FRAMES_PER_SECOND = 15;
const GAIT_FRAMES = 4;
const SIZE = 22; // of a sprite, in CSS pixels

/** Return the number of animals: one per connection up to 60, then a logarithm of the connections. */
function animalCount(connections, { clientWidth, clientHeight }) {
  const limit = Math.min(MAX_ANIMALS, Math.round((clientWidth * clientHeight) / PIXELS_PER_ANIMAL));
  return Math.min(limit, connections <= 60 ? connections : Math.round(60 + 25 * Math.log2(connections / 60)));
}

export class HerdAnimation {
  #canvas;
  #context;
  #animals = [];
  #targetCount = 0;
  #speed = 0.3; // of full speed
  #dust = 0;
  #dustColour = "";
  #sprites = [];
  #last = 0;
  #isRunning = false;
  #isNew = true; // before the first frame: animals start anywhere, not at the left edge
  #reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    new ResizeObserver(() => this.#fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#fit());
    document.addEventListener("visibilitychange", () => this.#run());
  }

  /** Adapt the herd to a load report. */
  show({ connections, deliveriesPerSecond }) {
    this.#targetCount = animalCount(connections, this.#canvas);
    const heat = Math.min(1, Math.log10(1 + deliveriesPerSecond) / 5);
    this.#speed = 0.25 + 0.75 * heat;
    this.#dust = heat;
    while (this.#animals.length < this.#targetCount) this.#animals.push(this.#newAnimal());
    if (this.#reducedMotion.matches) {
      this.#animals.length = this.#targetCount;
      this.#draw(0);
    }
    this.#run();
  }

  #newAnimal() {
    const depth = Math.random();
    const width = this.#canvas.clientWidth;
    // Later animals enter from the left; depth and speed are random.
    const isInside = this.#isNew || this.#reducedMotion.matches;
    const x = isInside ? Math.random() * width : -SIZE - Math.random() * width * 0.5;
    return { x, depth, speed: 0.8 + 0.4 * Math.random(), step: Math.random() * GAIT_FRAMES, isLeaving: false };
  }

  #fit() {
    const scale = devicePixelRatio || 1;
    this.#canvas.width = this.#canvas.clientWidth * scale;
    this.#canvas.height = this.#canvas.clientHeight * scale;
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
    this.#dustColour = getComputedStyle(this.#canvas).getPropertyValue("--soft");
    this.#sprites = Array.from({ length: GAIT_FRAMES }, (_, gait) => this.#sprite(gait, scale));
    this.#draw(0);
  }

  /** Draw a bison; `gait` is the frame of its leg movement. */
  #sprite(gait, scale) {
    const sprite = document.createElement("canvas");
    sprite.width = sprite.height = SIZE * scale;
    const context = sprite.getContext("2d");
    context.scale(scale, scale);
    context.fillStyle = context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue("--accent");
    context.lineCap = "round";
    context.lineWidth = 1.6;
    const swing = [-2.6, -0.8, 2.6, 0.8][gait];
    for (const [hip, way] of [[6, 1], [7.5, -1], [13, 1], [14.5, -1]]) {
      context.beginPath();
      context.moveTo(hip, 12);
      context.lineTo(hip + swing * way, 17.5);
      context.stroke();
    }
    context.beginPath(); // rump, back, hump, head, beard, belly
    context.moveTo(3, 10);
    context.quadraticCurveTo(4, 6.5, 8, 7);
    context.quadraticCurveTo(12, 2.5, 16, 6.5);
    context.quadraticCurveTo(20, 7, 20, 11);
    context.quadraticCurveTo(19.5, 14, 17.5, 13.5);
    context.quadraticCurveTo(15, 14.5, 12, 13);
    context.quadraticCurveTo(7, 14, 4, 12.5);
    context.closePath();
    context.fill();
    context.beginPath(); // tail and horn
    context.moveTo(3.2, 10);
    context.lineTo(1.2, 8 + swing / 3);
    context.moveTo(18, 6.6);
    context.lineTo(19.4, 4.8);
    context.lineWidth = 1;
    context.stroke();
    return sprite;
  }

  #run() {
    const mayRun = !this.#reducedMotion.matches && !document.hidden && this.#animals.length > 0;
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
      this.#isRunning = !document.hidden && this.#animals.length > 0;
      if (this.#isRunning) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  #draw(seconds) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const context = this.#context;
    context.clearRect(0, 0, width, height);
    const surplus = this.#animals.length - this.#targetCount;
    this.#animals.slice(0, Math.max(0, surplus)).forEach((animal) => (animal.isLeaving = true));
    // An animal further down is nearer: drawn later, larger and faster.
    for (const animal of this.#animals.sort((a, b) => a.depth - b.depth)) {
      const near = 0.6 + 0.4 * animal.depth;
      animal.x += seconds * width * 0.22 * this.#speed * animal.speed * near * (animal.isLeaving ? 2.5 : 1);
      animal.step += seconds * 14 * this.#speed * animal.speed;
      if (animal.x > width + SIZE && !animal.isLeaving) animal.x = -SIZE - Math.random() * 40;
      const size = SIZE * near;
      const y = animal.depth * Math.max(0, height - SIZE - 2) + SIZE - size + 1;
      if (this.#dust) this.#drawDust(animal, size, y);
      const sprite = this.#sprites[Math.floor(animal.step) % GAIT_FRAMES];
      if (sprite) context.drawImage(sprite, animal.x, y, size, size);
    }
    this.#animals = this.#animals.filter((animal) => !(animal.isLeaving && animal.x > width));
  }

  #drawDust(animal, size, y) {
    const context = this.#context;
    context.fillStyle = this.#dustColour;
    context.globalAlpha = 0.22 * this.#dust;
    for (let trail = 1; trail <= 3; trail += 1) {
      const wobble = Math.sin(animal.step * 2 + trail) * 1.5;
      context.beginPath();
      context.arc(animal.x - trail * 4, y + size * 0.78 + wobble, (1 + trail * 0.7) * this.#dust + 0.5, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
  }
}
