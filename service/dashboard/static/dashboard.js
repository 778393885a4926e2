// Keeps a page up to date. Without it everything works, as of when the page was loaded.
"use strict";

(() => {
  const region = document.getElementById("stream");
  const lamp = document.getElementById("live-state");
  const lampText = document.getElementById("live-text");
  const news = document.getElementById("news");
  const address = region?.dataset.stream;
  const RETRY_MS = 30000;
  let source = null;
  let retry = 0;

  function say(text, on) {
    lamp.hidden = false;
    lamp.classList.toggle("off", !on);
    lampText.textContent = text;
  }

  // What each row says of instances, by what names the row in every version of the page.
  function nameOf(row) {
    const head = row.querySelector("th");
    return head.querySelector("a")?.id || head.textContent.trim();
  }
  function rowsOf(root) {
    const rows = new Map();
    for (const row of root.querySelectorAll("tbody tr")) {
      const said = [...row.querySelectorAll(".instances, .state, .details, .badge")].map((each) => each.textContent);
      rows.set(nameOf(row), said.join("|").replace(/\s+/g, " "));
    }
    return rows;
  }

  // What somebody is just selecting is not taken from under them.
  let waiting = null;
  function isSelecting() {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && region.contains(selection.anchorNode);
  }
  document.addEventListener("selectionchange", () => {
    if (waiting !== null && !isSelecting()) update(waiting);
  });

  function update(html) {
    if (isSelecting()) {
      waiting = html;
      return;
    }
    waiting = null;
    const before = region.querySelector("#live");
    const known = rowsOf(region);
    const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
    const parsed = new DOMParser().parseFromString(html, "text/html").getElementById("live");
    if (!parsed) return;
    const after = document.importNode(parsed, true);
    offerCopies(after);
    before.replaceWith(after);
    const shown = rowsOf(after);
    for (const row of after.querySelectorAll("tbody tr")) {
      const name = nameOf(row);
      if (known.size && known.get(name) !== shown.get(name)) row.classList.add("changed");
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    if (after.dataset.summary !== before.dataset.summary) news.textContent = after.dataset.summary;
    tell();
  }

  // A browser lets pages copy only where they came by https, or from this very machine.
  function offerCopies(root) {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll(".copy")) button.hidden = false;
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const command = button.closest("td").querySelector("code");
    try {
      await navigator.clipboard.writeText(command.textContent);
      news.textContent = "Copied";
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1500);
    } catch {
      document.getSelection().selectAllChildren(command);
    }
  });
  offerCopies(document);

  function ended(text, link) {
    close();
    say("Ended", false);
    const notice = document.createElement("p");
    notice.className = "notice some";
    notice.setAttribute("role", "alert");
    notice.textContent = text + " ";
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link;
      anchor.textContent = "Sign in";
      notice.append(anchor);
    }
    region.prepend(notice);
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function open() {
    close();
    source = new EventSource(address);
    source.addEventListener("open", () => say("Live", true));
    source.addEventListener("update", (event) => {
      say("Live", true);
      update(event.data);
    });
    source.addEventListener("trouble", (event) => {
      say("Not current", false);
      lamp.title = event.data;
    });
    source.addEventListener("gone", () => ended("This is not there any more, or you may not see it any more."));
    source.addEventListener("signed-out", () => ended("Your session has ended.", "/ui/sign-in?why=ended"));
    source.addEventListener("error", () => {
      say("Reconnecting", false);
      // A browser tries again by itself after a broken connection, and never after a refusal.
      if (source?.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    });
  }

  // What the server says of times, as they pass.
  const MEASURES = [[31536000, "year"], [2592000, "month"], [86400, "day"], [3600, "hour"], [60, "minute"]];
  function lasted(seconds) {
    for (const [length, name] of MEASURES) {
      const number = Math.floor(seconds / length);
      if (number >= 1) return `${number} ${name}${number > 1 ? "s" : ""}`;
    }
    return `${seconds} s`;
  }
  function tell() {
    for (const time of document.querySelectorAll("time")) {
      const text = lasted(Math.max(0, Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000)));
      const said = "for" in time.dataset ? text : `${text} ago`;
      if (time.textContent !== said) time.textContent = said;
    }
  }
  setInterval(tell, 1000);

  if (address) {
    // NB: a browser has few connections for one host: pages that nobody looks at must not hold them.
    const follow = () => {
      if (document.hidden) {
        close();
        say("Paused", false);
      } else if (!source) {
        open();
      }
    };
    document.addEventListener("visibilitychange", follow);
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", (event) => event.persisted && follow());
    follow();
  }
})();
