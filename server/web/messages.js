// The list of messages: bounded, and drawn once a frame however many come. Names and texts only ever become text nodes.

const SHOWN = 300; // items kept
const GROUP_MS = 120_000; // what one person says within so long stands under one name
const NEAR_END = 60; // pixels from the end within which the list follows
const LONG = 800; // characters from which a text may need a scroll bar of its own
const NAMED = 3; // of those who came or left together

export const called = (user) => user ?? "someone";

/** Return a colour's angle for a name, the same everywhere. */
export function hue(name) {
  let sum = 7;
  for (const letter of called(name)) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return Math.round(sum * 137.508) % 360; // the golden angle keeps neighbours apart
}

/** Make an element with a text; `bdi` keeps whatever direction a text asks for to itself. */
export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

export class MessageList {
  #list;
  #log; // what scrolls
  #newer;
  #waiting = []; // items not yet drawn
  #isDue = false;
  #last = null; // {user, at, mine} of the last item, if it was a message
  #presence = null; // the last item, if it tells of comings and goings
  #unread = 0;

  /** `newer` is the button that leads to the end. */
  constructor(list, newer) {
    const log = list.parentElement;
    this.#list = list;
    this.#log = log;
    this.#newer = newer;
    newer.addEventListener("click", () => {
      log.scrollTop = log.scrollHeight;
      log.focus({ preventScroll: true });
    });
    log.addEventListener("scroll", () => this.#isAtEnd() && this.#showUnread(0), { passive: true });
  }

  /** Add what someone said; returns its item, for `setFate`. */
  say({ user, text, at, mine = false }) {
    const item = element("li", mine ? "mine" : "");
    const last = this.#last;
    const isFirst = !last || last.user !== user || last.mine !== mine || at - last.at > GROUP_MS;
    if (isFirst) item.append(this.#head(user, at, mine));
    item.classList.toggle("first", isFirst);
    const words = element("div", "words", text);
    words.dir = "auto";
    if (text.length > LONG) words.tabIndex = 0; // so that the keyboard can scroll it
    item.append(words);
    this.#last = { user, at, mine };
    this.#presence = null;
    this.#add(item);
    return item;
  }

  /** Tell something that nobody said. */
  notice(text) {
    const item = element("li", "notice", text);
    this.#last = this.#presence = null;
    this.#add(item);
    return item;
  }

  /** Tell who came or left; those in a row share an item. */
  presence(user, verb) {
    if (!this.#presence) {
      const item = this.notice("");
      this.#presence = { item, names: new Map() };
    }
    const { item, names } = this.#presence;
    const before = names.get(verb) ?? { shown: [], more: 0 };
    names.delete(verb);
    if (before.shown.length < NAMED) before.shown.push(user);
    else before.more += 1;
    names.set(verb, before);
    item.replaceChildren(...[...names].flatMap(([what, who], index) => sentence(who, what, index > 0)));
  }

  /** Show what became of a message of ours; `again` offers to say it once more. */
  setFate(item, status, again) {
    item.dataset.status = status;
    item.querySelector(".fate")?.remove();
    const text = { waiting: "waiting", uncertain: "may not have arrived" }[status];
    if (!text) return;
    const fate = element("div", "fate", text);
    if (status === "uncertain") {
      const button = element("button", "", "Send again");
      button.type = "button";
      button.addEventListener("click", again);
      fate.append(" · ", button);
    }
    item.append(fate);
  }

  clear() {
    this.#waiting = [];
    this.#last = this.#presence = null;
    this.#list.replaceChildren();
    this.#showUnread(0);
  }

  #head(user, at, mine) {
    const head = element("div", "head");
    const name = element("b");
    const time = element("time", "", new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    name.append(element("bdi", "", mine ? "you" : called(user)));
    name.style.setProperty("--hue", hue(user));
    time.dateTime = new Date(at).toISOString();
    head.append(name, time);
    return head;
  }

  #add(item) {
    this.#waiting.push(item);
    if (this.#waiting.length > SHOWN) this.#waiting.shift(); // in a hidden tab no frame comes
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#isDue = false;
    const list = this.#list;
    const follows = this.#isAtEnd();
    const added = this.#waiting.splice(0);
    list.append(...added);
    while (list.childElementCount > SHOWN) list.firstElementChild.remove();
    if (follows || added.some((item) => item.classList.contains("mine"))) this.#log.scrollTop = this.#log.scrollHeight;
    else this.#showUnread(this.#unread + added.length);
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #showUnread(count) {
    this.#unread = count;
    this.#newer.hidden = count === 0;
    this.#newer.textContent = `${count} new ↓`;
  }
}

/** Return "ann, bob and 34 others came in", names kept apart from the rest. */
function sentence({ shown, more }, verb, isNext) {
  const parts = shown.flatMap((user, index) => {
    const between = index === 0 ? "" : index === shown.length - 1 && !more ? " and " : ", ";
    return [between, element("bdi", "", called(user))];
  });
  return [isNext ? "; " : "", ...parts, more ? ` and ${more} ${more === 1 ? "other" : "others"}` : "", ` ${verb}`];
}
