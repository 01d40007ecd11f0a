#!/usr/bin/env python3
"""A small clinic application with Tools > Sync Now: a worked example for docs/HOST.md.

    python3 examples/host_app.py CLINIC.DB          a window, where Python has tkinter
    python3 examples/host_app.py CLINIC.DB --sync   the same, without a window

It needs `cfs` on the path (or CFS=/path/to/cfs) and a cfs.toml beside the database, as `cfs init` writes it.
The application knows nothing of synchronization but what is in `Sync`: it starts a program and reads JSON.
"""
import datetime
import json
import os
import sqlite3
import subprocess
import sys
import threading


def here(moment):
    """A time of a report, which is UTC, as a clock on the wall has it."""
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S")


class Sync:
    """All that a host application needs of cfs."""

    def __init__(self, database):
        self.config = os.path.join(os.path.dirname(os.path.abspath(database)), "cfs.toml")
        self.cfs = os.environ.get("CFS", "cfs")

    def call(self, *args, progress=None):
        """Runs a command; gives its JSON and its exit code. `progress(what, done, total)` is called meanwhile."""
        more = ["--progress"] if progress else []
        p = subprocess.Popen([self.cfs, "--config", self.config, *args, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        said = []

        def read():
            for line in p.stderr:
                try:
                    step = json.loads(line)
                    progress(step["what"], step["done"], step["total"])
                except (ValueError, TypeError, KeyError):
                    said.append(line.strip())

        reader = threading.Thread(target=read)
        reader.start()
        out = p.stdout.read()
        reader.join()
        code = p.wait()
        # 0 done; 1 failed; 2 usage or configuration; 3 another run is busy; 4 a person has to say yes.
        return (json.loads(out) if out.strip() else {"error": " ".join(said)}), code

    def now(self, progress=None):
        """Tools > Sync Now: a sentence for the status line."""
        report, code = self.call("sync", progress=progress)
        if code == 3:
            return "A synchronization is running already."
        if "error" in report:
            return report["error"]
        parts = [f"{report['exported']} sent", f"{report['imported']} received"]
        if report["held"]:
            parts.append(f"{len(report['held'])} held: see Tools > Synchronization")
        if report["superseded"]:
            parts.append(f"{report['superseded']} to decide")
        if code == 4:
            parts.append("something waits for your yes: " + "; ".join(report["notices"]))
        return ", ".join(parts)

    def page(self):
        """Tools > Cloud Folder Sync: the address of the page, which can be used once, or None; and why there is none."""
        reply, _ = self.call("open")
        return reply.get("page"), reply.get("error") or "The page cannot be opened."

    def log(self, n=20):
        """Tools > Synchronization: what came and went, newest first."""
        found, _ = self.call("log", "--last", str(n))
        return found


class Clinic:
    """The application's own part: it reads and writes its database as ever."""

    def __init__(self, database):
        self.db = sqlite3.connect(database)
        self.table, self.label = self.people()

    def people(self):
        """The table of people and the columns that name them, in the schema of whoever runs this example."""
        for table in ("patient", "patients", "person", "client"):
            columns = [r[1] for r in self.db.execute(f"PRAGMA table_info({table})")]
            names = [c for c in ("last_name", "surname", "first_name", "name", "full_name") if c in columns]
            if names:
                return table, names
        sys.exit("this example knows tables called patient, patients, person or client")

    def list(self):
        return [", ".join(str(v) for v in row if v) for row in self.db.execute(f"SELECT {', '.join(self.label)} FROM {self.table} ORDER BY 1 LIMIT 500")]

    def delete(self, key, why):
        """Deleting at every site is a wish that the next synchronization carries out; a plain DELETE comes back."""
        self.db.execute("INSERT INTO cfs_delete (table_name, key, reason) VALUES (?, ?, ?)", (self.table, key, why))
        self.db.commit()


def window(clinic, sync):
    import tkinter
    import webbrowser
    from tkinter import messagebox, ttk

    root = tkinter.Tk()
    root.title("Clinic")
    people = tkinter.Listbox(root, width=50, height=18)
    people.pack(fill="both", expand=True)
    bar = ttk.Progressbar(root)
    bar.pack(fill="x")
    status = tkinter.Label(root, anchor="w", text="Tools > Sync Now, or wait: it synchronizes by itself while this window is open.")
    status.pack(fill="x")
    shown = []

    def show():
        if clinic.list() != shown:
            shown[:] = clinic.list()
            people.delete(0, "end")
            people.insert("end", *shown)

    def every_second():
        show()
        root.after(1000, every_second)

    def in_background(work, then):
        """Runs `work` in a thread and gives its result to `then` in the window's own: tkinter has one."""
        result = []
        thread = threading.Thread(target=lambda: result.append(work()), daemon=True)
        thread.start()

        def look():
            if thread.is_alive():
                root.after(50, look)
            elif result:
                then(result[0])

        look()

    def sync_now(_=None):
        steps = []

        def draw():
            if steps and steps[-1] is not None:
                what, done, total = steps[-1]
                bar.configure(maximum=total or 1, value=done)
                status.configure(text=f"{what}: {done} of {total}")
            if not steps or steps[-1] is not None:
                root.after(50, draw)

        def done(said):
            steps.append(None)
            bar.configure(value=0)
            status.configure(text=said)
            show()

        draw()
        in_background(lambda: sync.now(lambda *step: steps.append(step)), done)

    def log(_=None):
        def draw(found):
            top = tkinter.Toplevel(root)
            top.title("Latest synchronizations")
            text = tkinter.Text(top, width=100, height=24, wrap="word")
            text.pack(fill="both", expand=True)
            for run in found.get("runs", []):
                text.insert("end", f"{here(run['started'])}\n")
                for c in run["changes"]:
                    where = " ".join(str(v) for v in (c["label"] or c["type"], c["table"], c["field"]) if v)
                    values = f": {c['old'] or '(empty)'} -> {c['new'] or '(empty)'}" if c["field"] else ""
                    site = f"  ({c['site']['name']})" if c["site"] else ""
                    text.insert("end", f"    {where}{values}  {c['what']}{site}\n")
            text.configure(state="disabled")

        in_background(sync.log, draw)

    def page(_=None):
        def shown(found):
            address, why = found
            if address is None:
                messagebox.showerror("Cloud Folder Sync", why)
            elif not webbrowser.open(address):
                messagebox.showinfo("Cloud Folder Sync", f"No browser could be started. Open this address on this computer, once: {address}")

        in_background(sync.page, shown)

    menu = tkinter.Menu(root)
    tools = tkinter.Menu(menu, tearoff=False)
    tools.add_command(label="Sync Now", accelerator="F5", command=sync_now)
    tools.add_command(label="Log…", accelerator="F6", command=log)
    tools.add_command(label="Cloud Folder Sync…", accelerator="F7", command=page)
    menu.add_cascade(label="Tools", menu=tools)
    root.configure(menu=menu)
    root.bind("<F5>", sync_now)
    root.bind("<F6>", log)
    root.bind("<F7>", page)
    # The service runs as long as this program does, and shows the page behind "Cloud Folder Sync…".
    service = subprocess.Popen([sync.cfs, "--config", sync.config, "run", "--while-pid", str(os.getpid())], stderr=subprocess.DEVNULL)
    every_second()
    root.mainloop()
    service.terminate()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    clinic, sync = Clinic(sys.argv[1]), Sync(sys.argv[1])
    if "--sync" in sys.argv:
        print(sync.now(lambda what, done, total: print(f"  {what}: {done} of {total}", file=sys.stderr)))
        print(f"{len(clinic.list())} people")
        return
    window(clinic, sync)


if __name__ == "__main__":
    main()
