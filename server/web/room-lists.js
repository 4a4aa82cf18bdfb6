// The message lists of the rooms that this tab has been in. A room keeps its list while the tab lives.

import { roomKey } from "./chat-util.js";
import { MessageList, timeOfDay } from "./messages.js";

const MAX_ROOMS = 20; // rooms whose messages are kept, those entered last

export class RoomLists {
  #log;
  #newerButton;
  #onChange;
  #kept = new Map(); // key -> {room, list, gap}; the room entered last is the last entry
  #shown = null; // entry of the map
  // A picture that has loaded, or a line that has wrapped, moves the end of the list.
  #resized = new ResizeObserver(() => this.current.follow());

  /** `log` shows the list of the current room; `newerButton` scrolls to its end. `onChange` gets `listed`. */
  constructor(log, newerButton, onChange) {
    this.#log = log;
    this.#newerButton = newerButton;
    this.#onChange = onChange;
    log.addEventListener("scroll", () => this.current.update(), { passive: true });
    document.addEventListener("visibilitychange", () => this.current.update());
    newerButton.addEventListener("click", () => {
      this.current.scrollToEnd();
      log.focus({ preventScroll: true });
    });
  }

  /** The list of the room that is shown. */
  get current() {
    return this.#shown.list;
  }

  /** Show a room's list; a new one if its messages are not kept. */
  enter(room) {
    if (this.#shown) {
      this.left("You were in another room");
      this.#shown.list.hide();
      this.#resized.unobserve(this.#shown.list.element);
    }
    const key = roomKey(room);
    const entry = this.#kept.get(key) ?? { list: new MessageList(this.#log, () => this.#changed()), gap: null };
    entry.room = room;
    this.#kept.delete(key);
    this.#kept.set(key, entry);
    this.#shown = entry;
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_ROOMS) this.#kept.delete(oldest);
    entry.list.show();
    this.#resized.observe(entry.list.element);
    this.#changed();
  }

  /** Note that the messages of the current room are no longer received, and why. */
  left(why) {
    this.#shown.gap ??= { why, since: Date.now() };
  }

  /** Say which messages are missing, after the room was entered again. */
  entered() {
    const { list, gap } = this.#shown;
    this.#shown.gap = null;
    if (gap === null || list.isEmpty) return;
    const [from, to] = [timeOfDay(gap.since), timeOfDay(Date.now())];
    const time = from === to ? `at ${from}` : `from ${from} to ${to}`;
    list.addNotice(`${gap.why} ${time}. The server keeps no messages of that time.`);
  }

  /** The other rooms with messages, with the number of unread ones; the room entered last is the first. */
  get listed() {
    return [...this.#kept.values()]
      .filter((entry) => entry !== this.#shown && !entry.list.isEmpty)
      .map(({ room, list }) => ({ room, unread: list.unread }))
      .reverse();
  }

  #changed() {
    const unread = this.#shown.list.unread;
    this.#newerButton.hidden = unread === 0;
    this.#newerButton.textContent = `${unread} new ↓`;
    this.#onChange(this.listed);
  }
}
