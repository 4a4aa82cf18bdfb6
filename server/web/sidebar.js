// The sidebar: this room, those with kept messages, the largest ones, the known members of this room, and who is typing.

import { isSameRoom } from "./chat-util.js";
import { displayName, element, hue } from "./messages.js";

const TYPING_MS = 4_000; // how long the notice stays; clients repeat it every 3 s
const MAX_LISTED = 40; // members shown by name

export class Rooms {
  #list;
  #enter;
  #room = null;
  #people = 0;
  #load = null;
  #kept = []; // {room, unread}

  /** `enter` is called with a room's name. */
  constructor(list, enter) {
    this.#list = list;
    this.#enter = enter;
  }

  /** Set the current room and its number of members. */
  setRoom(room, people) {
    this.#room = room;
    this.#people = people;
    this.#draw();
  }

  /** Set the other rooms whose messages the page keeps, with the number of unread ones. */
  setKept(kept) {
    this.#kept = kept;
    this.#draw();
  }

  /** Set the server's load report, which lists the largest rooms. */
  setLoad(load) {
    this.#load = load;
    this.#draw();
  }

  #draw() {
    const here = this.#room === null ? [] : [{ room: this.#room, userCount: this.#people }];
    const largest = this.#load?.largestRooms ?? [];
    const known = (room) => largest.find((other) => isSameRoom(other.room, room))?.userCount ?? "";
    const kept = this.#kept.filter(({ room }) => !isSameRoom(room, this.#room));
    const listed = [...here, ...kept.map(({ room, unread }) => ({ room, userCount: known(room), unread }))];
    listed.push(...largest.filter(({ room }) => !listed.some((other) => isSameRoom(other.room, room))));
    const more = Math.max(0, (this.#load?.rooms ?? 0) - listed.filter(({ userCount }) => userCount !== "").length);
    // Buttons are updated in place: a replaced one would lose the focus.
    this.#list.querySelector(".more")?.remove();
    while (this.#list.childElementCount > listed.length) this.#list.lastElementChild.remove();
    listed.forEach(({ room, userCount, unread = 0 }, index) => {
      const button = (this.#list.children[index] ?? this.#newEntry()).firstElementChild;
      const [name, mark, count] = button.children;
      if (name.textContent !== room) name.textContent = room;
      mark.textContent = unread ? `${unread} new` : "";
      mark.hidden = !unread;
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
    button.append(element("bdi"), element("mark"), element("span"));
    button.addEventListener("click", () => this.#enter(button.firstElementChild.textContent));
    entry.append(button);
    this.#list.append(entry);
    return entry;
  }
}

export class People {
  #list;
  #known = new Map(); // name -> number of members with that name
  #me = null;
  #total = 0;
  #isDue = false;

  constructor(list) {
    this.#list = list;
  }

  /** Start in a room. The server sends the number of members, and the names of those who join, write or type. */
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

  memberJoined(user) {
    if (user !== null) this.#known.set(user, (this.#known.get(user) ?? 0) + 1);
    this.#request();
  }

  memberLeft(user) {
    const count = this.#known.get(user) ?? 0;
    if (count > 1) this.#known.set(user, count - 1);
    else this.#known.delete(user);
    this.#request();
  }

  /** Add a member whose message or typing notice was received. */
  memberSeen(user) {
    if (user !== null && !this.#known.has(user)) this.memberJoined(user);
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
    const known = [...this.#known].flatMap(([name, count]) => Array(Math.min(count, MAX_LISTED)).fill(name));
    const names = known.slice(0, MAX_LISTED);
    const rows = [[this.#me, "you"], ...names.map((name) => [name, ""])].slice(0, Math.max(1, this.#total));
    this.#list.replaceChildren(
      ...rows.map(([name, note]) => {
        const row = element("li");
        const avatar = element("span", "avatar", [...displayName(name)][0]);
        avatar.setAttribute("aria-hidden", "true");
        avatar.style.setProperty("--hue", hue(name));
        row.append(avatar, element("bdi", "", displayName(name)), element("span", "soft", note));
        return row;
      }),
    );
    const more = this.#total - rows.length;
    if (more > 0) this.#list.append(element("li", "more", `${more} more, not active yet`));
  }
}

export class Typing {
  #output;
  #timers = new Map();

  constructor(output) {
    this.#output = output;
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
    if (!users.length) return this.#output.replaceChildren();
    if (users.length > 3) return this.#output.replaceChildren(`${users.length} people are typing…`);
    const names = users.flatMap((user, index) => [index ? ", " : "", element("bdi", "", displayName(user))]);
    this.#output.replaceChildren(...names, users.length > 1 ? " are typing…" : " is typing…");
  }
}
