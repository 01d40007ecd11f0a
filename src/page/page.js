"use strict";
// Times as their reader is used to, and what goes on as it happens. Without this the page works all the same.
for (const t of document.querySelectorAll("time[datetime]")) {
  const at = new Date(t.dateTime);
  if (isNaN(at)) continue;
  const today = at.toDateString() === new Date().toDateString();
  t.textContent = at.toLocaleString(undefined, today ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { dateStyle: "medium", timeStyle: "short" });
  t.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "medium" });
}
const text = document.getElementById("live-text"), bar = document.getElementById("live-bar"), button = document.getElementById("sync-now");
if (text && window.EventSource) {
  let asked = document.getElementById("live").dataset.running === "true", slow = 0;
  const events = new EventSource("/events");
  const end = (said) => { clearTimeout(slow); text.textContent = said; bar.hidden = true; button.disabled = false; };
  events.onmessage = (e) => {
    const m = JSON.parse(e.data);
    if (m.state === "started") {
      button.disabled = true;
      // One that is over at once would only flicker.
      slow = setTimeout(() => { text.textContent = "Synchronizing …"; bar.removeAttribute("value"); bar.hidden = false; }, 250);
    } else if (m.state === "progress") {
      text.textContent = `Synchronizing: ${m.what} ${m.done} of ${m.total}`;
      bar.hidden = false;
      bar.max = Math.max(1, m.total);
      bar.value = m.done;
    } else {
      end(m.state === "failed" ? "The synchronization failed. The overview says why." : m.changed || asked ? `Synchronized: ${m.said}.` : "");
      // Only the overview is nothing but news; nothing that somebody types is there.
      if (location.pathname === "/" && (m.changed || asked || m.state === "failed")) location.reload();
      asked = false;
    }
  };
  document.querySelector("form.now").addEventListener("submit", (e) => {
    e.preventDefault();
    asked = true;
    button.disabled = true;
    fetch("/sync", { method: "POST", body: new URLSearchParams(new FormData(e.target)), redirect: "manual" }).catch(() => { end("The service does not answer. Is it running?"); });
  });
  addEventListener("pagehide", () => events.close());
}
