"use strict";
// Times as their reader is used to, and what goes on as it happens. Without this the page works all the same.
for (const t of document.querySelectorAll("time[datetime]")) {
  const at = new Date(t.dateTime);
  if (isNaN(at)) continue;
  const today = at.toDateString() === new Date().toDateString();
  t.textContent = at.toLocaleString(undefined, today ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { dateStyle: "medium", timeStyle: "short" });
  t.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "medium" });
}
// A form is sent once. (The next one stands still for a moment: page.css.)
for (const form of document.querySelectorAll("main form[method=post]")) {
  form.addEventListener("submit", (e) => {
    if (form.dataset.sent) e.preventDefault();
    form.dataset.sent = "yes";
  });
}
// Back in the page as it was left.
addEventListener("pageshow", (e) => { if (e.persisted) for (const form of document.forms) delete form.dataset.sent; });
const text = document.getElementById("live-text"), bar = document.getElementById("live-bar"), button = document.getElementById("sync-now");
if (text && window.EventSource) {
  const live = document.getElementById("live"), aloud = document.getElementById("live-said");
  let asked = live.dataset.running === "true", slow = 0;
  const unknown = "This page is no longer known to the service. Run cfs open again.";
  const events = new EventSource("/events");
  const say = (said) => { if (aloud.textContent !== said) aloud.textContent = said; };
  const end = (said) => { clearTimeout(slow); text.textContent = said; say(said); bar.hidden = true; button.disabled = false; };
  events.onmessage = (e) => {
    const m = JSON.parse(e.data);
    if (m.state === "started") {
      button.disabled = true;
      clearTimeout(slow);
      // One that is over at once would only flicker.
      slow = setTimeout(() => { text.textContent = "Synchronizing …"; say("Synchronizing"); bar.removeAttribute("value"); bar.hidden = false; }, 250);
    } else if (m.state === "progress") {
      button.disabled = true;
      clearTimeout(slow);
      text.textContent = `Synchronizing: ${m.what} ${m.done} of ${m.total}`;
      say("Synchronizing");
      bar.hidden = false;
      bar.max = Math.max(1, m.total);
      bar.value = m.done;
    } else if (m.state === "idle") {
      // Nothing goes on. What ended since the page was drawn is told by the overview.
      end("");
      if (location.pathname === "/" && String(m.runs) !== live.dataset.runs) location.reload();
    } else {
      end(m.state === "failed" ? "The synchronization failed. The overview says why." : m.changed || asked ? `Synchronized: ${m.said}.` : "");
      // Only the overview is nothing but news; nothing that somebody types is there.
      if (location.pathname === "/" && (m.changed || asked || m.state === "failed")) location.reload();
      asked = false;
    }
  };
  // A connection that broke is tried again; one that was refused is not.
  events.onerror = () => { end(events.readyState === EventSource.CLOSED ? unknown : "The service does not answer. Is it running?"); };
  document.querySelector("form.now").addEventListener("submit", (e) => {
    e.preventDefault();
    asked = true;
    button.disabled = true;
    fetch("/sync", { method: "POST", body: new URLSearchParams(new FormData(e.target)), redirect: "manual" })
      .then((r) => { if (r.type !== "opaqueredirect" && !r.ok) end(r.status === 403 ? unknown : "The service could not be asked. Load the page again."); })
      .catch(() => { end("The service does not answer. Is it running?"); });
  });
  addEventListener("pagehide", () => { events.onerror = null; events.close(); });
}
