// A line above Locust's page that shows the verdict on every tab.
(() => {
  const { prefix } = document.currentScript.dataset;
  const colours = { good: "#15803d", bad: "#b91c1c", invalid: "#9a3412", open: "#52525b" };
  const line = document.createElement("div");
  line.setAttribute("role", "status");
  line.hidden = true;
  line.innerHTML = `<a href="?tab=verdict"></a>`;
  const link = line.firstChild;
  link.style.cssText =
    "display:block;padding:6px 16px;color:#fff;text-decoration:none;overflow-wrap:anywhere;" +
    "font:500 14px/1.4 Roboto,Helvetica,Arial,sans-serif";
  document.body.prepend(line);

  // The tab, if it is there, opens without loading the page again.
  link.addEventListener("click", (event) => {
    const tab = [...document.querySelectorAll('[role="tab"]')].find((one) => one.textContent.trim() === "Verdict");
    if (!tab) return;
    event.preventDefault();
    tab.click();
  });

  const update = async () => {
    if (document.hidden) return;
    let verdict;
    try {
      const response = await fetch(`${prefix}/stampede/verdict-line`);
      if (!response.ok) return;
      verdict = await response.json();
    } catch {
      return; // Locust has ended: the last verdict stays
    }
    line.hidden = !verdict;
    if (!verdict) return;
    if (link.textContent !== verdict.text) link.textContent = verdict.text;
    link.style.background = colours[verdict.state];
  };
  update();
  setInterval(update, 2000);
  document.addEventListener("visibilitychange", update);
})();
