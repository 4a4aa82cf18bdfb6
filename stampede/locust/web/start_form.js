// Shows why Locust's start form was refused at the fields that the message is about, and keeps what was typed.
(() => {
  const RED = "#dc2626";
  const camelCase = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
  const formInDialog = () => document.querySelector(".MuiModal-root form");

  const noteOf = (message) => {
    const note = document.createElement("p");
    note.className = "stampede-refused";
    note.textContent = message;
    note.style.cssText =
      `margin:6px 0 0;padding:2px 8px;border-left:4px solid ${RED};overflow-wrap:anywhere;` +
      "font:500 14px/1.4 Roboto,Helvetica,Arial,sans-serif";
    return note;
  };

  const unmark = (input) => {
    document.getElementById(input.getAttribute("aria-describedby"))?.remove();
    input.removeAttribute("aria-describedby");
    input.setAttribute("aria-invalid", "false");
    input.parentElement.style.boxShadow = "";
  };

  const mark = (input, message) => {
    const note = noteOf(message);
    note.id = `stampede-refused-${input.name}`;
    const control = input.closest(".MuiFormControl-root");
    if (control) control.append(note);
    else (input.closest("label") ?? input).after(note);
    input.setAttribute("aria-describedby", note.id);
    input.setAttribute("aria-invalid", "true");
    input.parentElement.style.boxShadow = `0 0 0 2px ${RED}`;
    input.addEventListener("input", () => unmark(input), { once: true });
  };

  const clear = (form) => {
    for (const input of form.querySelectorAll('[aria-describedby^="stampede-refused-"]')) unmark(input);
    for (const note of form.querySelectorAll(".stampede-refused")) note.remove();
  };

  const show = async (input) => {
    const group = input.closest(".MuiAccordion-root");
    group?.querySelector('[aria-expanded="false"]')?.click();
    for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame); // React begins to open it
    await Promise.allSettled((group?.getAnimations({ subtree: true }) ?? []).map(({ finished }) => finished));
    input.focus({ preventScroll: true });
    input.scrollIntoView({ block: "center" });
  };

  const refuse = (form, { message, fields = [] }) => {
    const inputs = fields.map((name) => form.elements.namedItem(camelCase(name))).filter(Boolean);
    for (const input of inputs) mark(input, message);
    if (inputs.length) show(inputs[0]);
    else if (form === formInDialog()) form.append(noteOf(message));
  };

  const fetchOf = window.fetch;
  window.fetch = async (...request) => {
    const response = await fetchOf(...request);
    const form = formInDialog() ?? document.querySelector("main form");
    if (!form || !new URL(response.url).pathname.endsWith("/swarm")) return response;
    clear(form);
    const answer = await response.clone().json().catch(() => ({}));
    if (answer.success !== false) return response;
    refuse(form, answer);
    // Locust 2.47 closes its dialog after every answer: it would lose the message and what was typed.
    return form === formInDialog() ? new Promise(() => {}) : response;
  };
})();
