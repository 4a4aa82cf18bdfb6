// Who and what is around: the largest rooms, the people of this room as far as they are known, who is typing.

import { isSameRoom } from "./chat-util.js";
import { called, element, hue } from "./messages.js";

const TYPING_MS = 4_000; // how long the hint stays; told again every 3 s
const LISTED = 40; // people shown by name

export class Rooms {
  #list;
  #enter;
  #room = null;
  #people = 0;
  #load = null;

  /** `enter` is called with a room's name. */
  constructor(list, enter) {
    this.#list = list;
    this.#enter = enter;
  }

  /** Take note of where one is, and with how many. */
  setRoom(room, people) {
    this.#room = room;
    this.#people = people;
    this.#draw();
  }

  /** Take the server's report of its rooms. */
  setLoad(load) {
    this.#load = load;
    this.#draw();
  }

  #draw() {
    const others = (this.#load?.largestRooms ?? []).filter(({ room }) => !isSameRoom(room, this.#room));
    const here = this.#room === null ? [] : [{ room: this.#room, userCount: this.#people }];
    const listed = [...here, ...others];
    const more = Math.max(0, (this.#load?.rooms ?? 0) - listed.length);
    // Buttons are changed in place: one that was replaced would lose the focus.
    this.#list.querySelector(".more")?.remove();
    while (this.#list.childElementCount > listed.length) this.#list.lastElementChild.remove();
    listed.forEach(({ room, userCount }, index) => {
      const button = (this.#list.children[index] ?? this.#newEntry()).firstElementChild;
      const [name, count] = button.children;
      if (name.textContent !== room) name.textContent = room;
      count.textContent = userCount;
      button.toggleAttribute("aria-current", room === this.#room);
      if (room === this.#room) button.setAttribute("aria-current", "true");
    });
    if (more) this.#list.append(element("li", "more", `and ${more} more`));
  }

  #newEntry() {
    const entry = element("li");
    const button = element("button");
    button.type = "button";
    button.append(element("bdi"), element("span"));
    button.addEventListener("click", () => this.#enter(button.firstElementChild.textContent));
    entry.append(button);
    this.#list.append(entry);
    return entry;
  }
}

export class People {
  #list;
  #known = new Map(); // name -> how many of that name
  #me = null;
  #total = 0;
  #isDue = false;

  constructor(list) {
    this.#list = list;
  }

  /** Begin anew in a room; the server tells how many are there, and names only of those who come, speak or type. */
  reset(me, total) {
    this.#known.clear();
    this.#me = me;
    this.setTotal(total);
  }

  rename(me) {
    this.#me = me;
    this.#request();
  }

  setTotal(total) {
    this.#total = total;
    this.#request();
  }

  came(user) {
    if (user !== null) this.#known.set(user, (this.#known.get(user) ?? 0) + 1);
    this.#request();
  }

  left(user) {
    const count = this.#known.get(user) ?? 0;
    if (count > 1) this.#known.set(user, count - 1);
    else this.#known.delete(user);
    this.#request();
  }

  /** Take note that someone of this name is here. */
  heard(user) {
    if (user !== null && !this.#known.has(user)) this.came(user);
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
    const names = [...this.#known].flatMap(([name, count]) => Array(Math.min(count, LISTED)).fill(name)).slice(0, LISTED);
    const rows = [[this.#me, "you"], ...names.map((name) => [name, ""])].slice(0, Math.max(1, this.#total));
    this.#list.replaceChildren(
      ...rows.map(([name, remark]) => {
        const row = element("li");
        const face = element("span", "face", [...called(name)][0]);
        face.setAttribute("aria-hidden", "true");
        face.style.setProperty("--hue", hue(name));
        row.append(face, element("bdi", "", called(name)), element("span", "soft", remark));
        return row;
      }),
    );
    const more = this.#total - rows.length;
    if (more > 0) this.#list.append(element("li", "more", `${more} ${more === 1 ? "other" : "others"}, not heard yet`));
  }
}

export class Typing {
  #place;
  #timers = new Map();

  constructor(place) {
    this.#place = place;
  }

  start(user) {
    clearTimeout(this.#timers.get(user));
    this.#timers.set(user, setTimeout(() => this.stop(user), TYPING_MS));
    this.#draw();
  }

  stop(user) {
    if (!this.#timers.has(user)) return;
    clearTimeout(this.#timers.get(user));
    this.#timers.delete(user);
    this.#draw();
  }

  clear() {
    for (const user of [...this.#timers.keys()]) this.stop(user);
  }

  #draw() {
    const users = [...this.#timers.keys()];
    if (!users.length) return this.#place.replaceChildren();
    if (users.length > 3) return this.#place.replaceChildren(`${users.length} people are typing…`);
    const names = users.flatMap((user, index) => [index ? ", " : "", element("bdi", "", called(user))]);
    this.#place.replaceChildren(...names, users.length > 1 ? " are typing…" : " is typing…");
  }
}
