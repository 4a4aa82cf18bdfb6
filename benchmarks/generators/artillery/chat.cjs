// A typical Artillery processor that measures deliveries of a chat: functions for a scenario of its WebSocket engine.
"use strict";

module.exports = {
  // Listen to the messages of the others.
  listen(context, events, done) {
    context.ws.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.type !== "chatMessage") return;
      events.emit("counter", "deliveries", 1);
      events.emit("histogram", "delivery_ms", Date.now() - Number(message.text.slice(0, 13)));
    });
    done();
  },

  // Store the time for the next message.
  stamp(context, events, done) {
    context.vars.text = String(Date.now()).padEnd(64, ".");
    done();
  },
};
