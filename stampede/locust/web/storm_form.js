// A form on Locust's page that drops a share of all users at the same moment. It is visible while a test runs.
(() => {
  const prefix = document.currentScript.dataset.prefix;
  const form = document.createElement("form");
  form.setAttribute("aria-label", "Storm");
  form.style.cssText =
    "position:fixed;right:16px;bottom:16px;z-index:2000;display:none;gap:8px;align-items:center;flex-wrap:wrap;" +
    "max-width:calc(100vw - 32px);box-sizing:border-box;padding:8px 12px;border-radius:8px;background:#15803d;" +
    "color:#fff;font:500 14px/1.4 Roboto,Helvetica,Arial,sans-serif;box-shadow:0 2px 8px rgba(0,0,0,.35)";
  const field = "font:inherit;border:0;border-radius:4px;padding:6px;color:#111;background:#fff;";
  form.innerHTML =
    `<label>Drop <input name="percent" type="number" min="1" max="100" value="50" required style="${field}width:4em"> %` +
    ` of all users</label> <select name="manner" aria-label="How they drop" style="${field}">` +
    `<option value="abrupt">abruptly</option><option value="polite">with a close handshake</option></select>` +
    ` <button style="${field}cursor:pointer;font-weight:700">Start storm</button> <output></output>`;
  document.body.append(form);
  const result = form.querySelector("output");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams({ share: form.percent.value / 100, manner: form.manner.value });
    try {
      const response = await fetch(`${prefix}/stampede/storm`, { method: "POST", body });
      const text = await response.text();
      result.textContent = response.ok ? `Storm ${JSON.parse(text).id} started: see the Storms tab` : text;
    } catch (error) {
      result.textContent = String(error);
    }
  });

  const button = form.querySelector("button");
  const updateVisibility = async () => {
    try {
      const { state, storm_refusal: refusal } = await (await fetch(`${prefix}/stampede/state`)).json();
      form.style.display = state === "running" || state === "spawning" ? "flex" : "none";
      if (refusal) result.textContent = `Refused: ${refusal}`;
      else if (button.disabled) result.textContent = "";
      button.disabled = Boolean(refusal);
      button.style.opacity = refusal ? 0.6 : 1;
    } catch {
      form.style.display = "none";
    }
  };
  updateVisibility();
  setInterval(updateVisibility, 2000);
})();
