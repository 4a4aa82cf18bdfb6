// Shows sections of HTML from the server in tabs of Locust's page, and updates the visible one every two seconds.
(() => {
  const { prefix, panels } = document.currentScript.dataset;
  const paths = JSON.parse(panels); // from the title of a tab to the path of its section
  const host = document.createElement("div");
  host.style.paddingBottom = "140px"; // the storm form must not cover the end of a section
  let path;
  let shown = "";

  const update = async () => {
    if (!path || document.hidden) return;
    const wanted = path;
    let html;
    try {
      const response = await fetch(`${prefix}${wanted}`);
      if (!response.ok) return;
      html = await response.text();
    } catch {
      return; // Locust has ended: what was shown last stays
    }
    if (path !== wanted || html === shown) return;
    shown = html;
    host.innerHTML = html;
    document.dispatchEvent(new Event("stampede-charts-drawn"));
  };

  // React draws the tabs again at any time and keeps what it did not draw, such as our element behind them.
  const place = () => {
    const tab = document.querySelector('[role="tab"][aria-selected="true"]');
    const wanted = tab ? paths[tab.textContent.trim()] : undefined;
    const main = tab?.closest("main");
    if (wanted !== path) {
      path = wanted;
      shown = "";
      host.replaceChildren();
      host.remove();
      update();
    }
    if (path && main && host.parentNode !== main) main.append(host);
  };

  new MutationObserver(place).observe(document.getElementById("root"), {
    childList: true,
    subtree: true,
    attributeFilter: ["aria-selected"],
  });
  place();
  setInterval(update, 2000);
  document.addEventListener("visibilitychange", update);
})();
