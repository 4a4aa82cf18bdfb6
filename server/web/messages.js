// The messages of one room. The list is bounded and drawn once per frame. Names and texts only become text nodes, never
// HTML.

const MAX_ITEMS = 300; // items in the list
const GROUP_MS = 120_000; // messages of one user within this time share a heading
const END_MARGIN = 60; // pixels from the end within which the list scrolls along
const LONG_TEXT = 800; // characters above which a text may need its own scroll bar
const MAX_NAMES = 3; // names in one presence notice

export const displayName = (user) => user ?? "someone";

/** Return the hue of a name, the same on every page. */
export function hue(name) {
  let sum = 7;
  for (const letter of displayName(name)) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return Math.round(sum * 137.508) % 360; // the golden angle spreads the hues
}

/** Create an element with a text. `bdi` isolates the text direction of user-supplied text. */
export function element(tag, className, text = "") {
  const created = document.createElement(tag);
  if (className) created.className = className;
  created.textContent = text;
  return created;
}

/** Return the time of day as text. */
export const timeOfDay = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

export class MessageList {
  #log; // the scrolling element, which shows one list at a time
  #onUnread;
  #undrawn = []; // items not in the list yet
  #isDue = false;
  #last = null; // {user, at, mine} of the last item if it is a message
  #presence = null; // the last item if it is a presence notice
  #isShown = false;
  #isAtEnd = true;
  #scrollTop = 0; // while the list is not shown
  #unread = 0;
  #mark = null; // the line above the first unread message

  element = element("ol");

  /** `onUnread` is called when the number of unread messages changes. */
  constructor(log, onUnread) {
    this.element.id = "messages"; // the document contains one list at a time
    this.#log = log;
    this.#onUnread = onUnread;
  }

  get isEmpty() {
    return this.#last === null && !this.#undrawn.length && !this.element.childElementCount;
  }

  get unread() {
    return this.#unread;
  }

  /** Show the list in place of another, at the place where it was left. */
  show() {
    this.#isShown = true;
    this.#log.replaceChildren(this.element);
    this.#log.scrollTop = this.#isAtEnd ? this.#log.scrollHeight : this.#scrollTop;
    this.update();
  }

  hide() {
    this.#scrollTop = this.#log.scrollTop;
    this.#isShown = false;
  }

  scrollToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.update();
  }

  /** Scroll along if the list has grown while its end was shown. */
  follow() {
    if (this.#isAtEnd) this.scrollToEnd();
  }

  /** Count the messages as read if the end of the shown list can be seen. */
  update() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < END_MARGIN;
    if (this.#isAtEnd && !document.hidden) this.#setUnread(0);
  }

  /** Add a message; returns its item for `setStatus`. */
  addMessage({ user, text, at, mine = false }) {
    const words = element("div", "words", text);
    words.dir = "auto";
    if (text.length > LONG_TEXT) words.tabIndex = 0; // makes it scrollable by keyboard
    return this.addContent({ user, at, mine, content: words });
  }

  /** Add an element as a message. */
  addContent({ user, at, mine = false, content }) {
    if (!mine && (!this.#isShown || !this.#isAtEnd || document.hidden)) this.#countUnread();
    const item = element("li", mine ? "mine" : "");
    const last = this.#last;
    const isFirst = !last || last.user !== user || last.mine !== mine || at - last.at > GROUP_MS;
    if (isFirst) item.append(this.#head(user, at, mine));
    item.classList.toggle("first", isFirst);
    item.append(content);
    this.#last = { user, at, mine };
    this.#presence = null;
    this.#add(item);
    return item;
  }

  /** Add a notice. */
  addNotice(text) {
    const item = element("li", "notice", text);
    this.#last = this.#presence = null;
    this.#add(item);
    return item;
  }

  /** Add a presence notice; consecutive ones share an item. */
  addPresence(user, verb) {
    if (!this.#presence) {
      const item = this.addNotice("");
      this.#presence = { item, names: new Map() };
    }
    const { item, names } = this.#presence;
    const before = names.get(verb) ?? { shown: [], more: 0 };
    names.delete(verb);
    if (before.shown.length < MAX_NAMES) before.shown.push(user);
    else before.more += 1;
    names.set(verb, before);
    item.replaceChildren(...[...names].flatMap(([what, who], index) => presenceText(who, what, index > 0)));
  }

  /** Show the delivery status of an own message; `sendAgain` is called by the button of an uncertain one. */
  setStatus(item, status, sendAgain) {
    item.dataset.status = status;
    item.querySelector(".status")?.remove();
    const text = { waiting: "waiting", uncertain: "may not have arrived" }[status];
    if (!text) return;
    const label = element("div", "status", text);
    if (status === "uncertain") {
      const button = element("button", "", "Send again");
      button.type = "button";
      button.addEventListener("click", sendAgain);
      label.append(" · ", button);
    }
    item.append(label);
  }

  #head(user, at, mine) {
    const head = element("div", "head");
    const name = element("b");
    const time = element("time", "", timeOfDay(at));
    name.append(element("bdi", "", mine ? "you" : displayName(user)));
    name.style.setProperty("--hue", hue(user));
    time.dateTime = new Date(at).toISOString();
    head.append(name, time);
    return head;
  }

  /** Count an unread message, which the caller adds next; a line separates the first from those before it. */
  #countUnread() {
    if (!this.#unread) {
      this.#mark?.remove();
      this.#undrawn = this.#undrawn.filter((item) => item !== this.#mark);
      this.#mark = element("li", "unread-mark", "new");
      this.#last = null; // the message has a heading
      this.#add(this.#mark);
    }
    this.#setUnread(this.#unread + 1);
  }

  #add(item) {
    this.#undrawn.push(item);
    if (this.#undrawn.length > MAX_ITEMS) this.#undrawn.shift(); // a hidden tab draws no frames
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#isDue = false;
    const list = this.element;
    const added = this.#undrawn.splice(0);
    list.append(...added);
    while (list.childElementCount > MAX_ITEMS) list.firstElementChild.remove();
    if (this.#isShown && (this.#isAtEnd || added.some((item) => item.classList.contains("mine")))) this.scrollToEnd();
  }

  #setUnread(count) {
    if (count === this.#unread) return;
    this.#unread = count;
    this.#onUnread();
  }
}

/** Return the parts of "ann, bob and 34 others joined", with each name in its own element. */
function presenceText({ shown, more }, verb, isNext) {
  const parts = shown.flatMap((user, index) => {
    const between = index === 0 ? "" : index === shown.length - 1 && !more ? " and " : ", ";
    return [between, element("bdi", "", displayName(user))];
  });
  return [isNext ? "; " : "", ...parts, more ? ` and ${more} ${more === 1 ? "other" : "others"}` : "", ` ${verb}`];
}
