#!/usr/bin/env python3
"""Runs a real client between the replicas of a sync folder while writers edit, and looks whether anything is lost.

  tests/clients/run.py syncthing --seconds 600            # or unison, rclone; --sites 3
  tests/clients/run.py syncthing --seconds 10 --plant all # planted bugs: each must be noticed

Python's standard library and the client are all it needs. See docs/RELIABILITY.md, "Real clients".
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from clients import CLIENTS, copies, tree
from sites import Ledger, Site, told

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "crash"))
import check  # noqa: E402

# Bugs of the harness itself, and the words with which the law that is there for it must notice it.
PLANTS = {
    "forget": ("a value is typed over and the ledger is not told", "NOWHERE"),
    "differ": ("a value is changed in one database after the last synchronization", "at the end:"),
    "keep": ("conflict files are left where they are (delete_conflicts = false)", "a conflict file is left"),
    "unread": ("conflict files are removed before anybody has read them", "has lost"),
    "restless": ("a row is typed before the round that must write nothing", "at rest"),
    "calm": ("nobody edits while the client is down, so it makes no copy", "NO CONFLICT COPY"),
}


class Run:
    """Sites, a client between them, and what is told of it at the end."""

    def __init__(self, args, plant=None):
        self.args, self.plant = args, plant
        self.top = tempfile.mkdtemp(prefix=f"cfs-{args.client}-", dir=args.dir)
        self.random = random.Random(f"{args.seed} main")
        self.ledger, self.wrong, self.told = Ledger(), [], {}
        self.seen, self.new, self.lock = set(), 0, threading.Lock()
        self.cloud = None

    def say(self, what):
        if not self.args.json:
            print(what, flush=True)

    def fail(self, what):
        self.wrong.append(what)
        self.say(f"  FAILED: {what}")

    # The conflict copies that the client makes: a name that was not there before is a new one.
    def count_copies(self):
        with self.lock:
            now = set().union(*(copies(s.folder) for s in self.sites))
            self.new += len(now - self.seen)
            self.seen = now

    def watch(self):
        while not self.over.wait(0.2):
            self.count_copies()

    def set_up(self):
        a = self.args
        self.sites = [Site(self, os.path.join(self.top, n), n, i) for i, n in enumerate("abc"[: a.sites])]
        first, *others = self.sites
        first.build("north.sql")
        first.init()
        first.sync()
        self.cloud = CLIENTS[a.client](self.top, [s.folder for s in self.sites], a.seed)
        for i, s in enumerate(others):
            s.build("south.sql" if i == 0 else None)
            if not self.cloud.settle():
                raise RuntimeError("the client does not copy the folder")
            s.init()
            s.sync()
        if not self.rounds("set up"):
            raise RuntimeError("the sites do not settle before anything has happened")

    def rounds(self, what, sites=None, most=25):
        """Client and synchronizations in turn until nobody writes anything."""
        sites = sites or self.sites
        for n in range(1, most + 1):
            if not self.cloud.settle():
                self.fail(f"{what}: the replicas do not become the same")
                return 0
            self.count_copies()
            wrote = 0
            for s in sites:
                report = s.sync()
                wrote += report.get("files_written", 1) + report.get("conflict_files", {}).get("deleted", 0)
                if wrote and n > most // 2:
                    # Perhaps it is only that both write at once.
                    self.cloud.settle()
            if not wrote:
                return n
        self.fail(f"{what}: after {most} rounds there is still something to write (ping-pong)")
        return 0

    def storm(self):
        """Writers edit, sites synchronize, the client is interrupted."""
        end = time.monotonic() + self.args.seconds
        self.over = threading.Event()
        threads = [threading.Thread(target=t) for s in self.sites for t in (s.write, s.synchronize)]
        threads.append(threading.Thread(target=self.watch))
        for t in threads:
            t.start()
        outages = {}
        try:
            first = True
            while time.monotonic() < end and not self.wrong:
                if self.over.wait(min(1.0 if first else self.random.uniform(2, 9), max(0.1, end - time.monotonic()))):
                    break
                if time.monotonic() > end and not first:
                    break
                first = False
                how = self.random.choice(self.cloud.OUTAGES)
                outages[how] = outages.get(how, 0) + 1
                self.cloud.down(how, self.apart)
                self.meet()
        finally:
            self.over.set()
            for t in threads:
                t.join()
        self.told["outages"] = outages
        self.told["edits"] = self.ledger.edits()
        self.say(f"storm: {self.args.seconds:g} s, {told(self.told['edits'])}; client: {told(outages)}")

    def apart(self):
        """While the client is away, everybody edits the same few charts, and synchronizes."""
        if self.plant == "calm":
            for s in self.sites:
                s.hot = None
                s.hush = True
            time.sleep(1.0)
        else:
            common = set.intersection(*(s.people() for s in self.sites))
            hot = self.random.sample(sorted(common), min(3, len(common)))
            for s in self.sites:
                s.hot = hot
            time.sleep(self.random.uniform(1.5, 5))
            for s in self.sites:
                s.turns.clear()
            for s in self.sites:
                s.turns.wait(20)
            still = self.random.random() < 0.75
            for s in self.sites:
                s.still = still
        for s in self.sites:
            s.hot, s.hush = None, self.plant == "calm"

    def meet(self):
        """Mostly the client is at work for a while before the next Sync Now, as in a clinic. Where that comes within
        a second, the log segments bring what the other wrote before the client gets to the record files, both places
        write the same bytes, and there is nothing to conflict."""
        end, before = time.monotonic() + 10, self.new
        while any(s.still for s in self.sites) and time.monotonic() < end and self.new == before and not self.over.wait(0.2):
            pass
        self.over.wait(1.0)
        for s in self.sites:
            s.still = False

    def heal(self):
        n = self.rounds("heal")
        self.compare("after healing")
        for s in self.sites:
            s.sync("--full")
        m = self.rounds("after a full look")
        self.say(f"heal: {n} rounds, then {m} after a full look")
        self.told["rounds"] = n

    def compare(self, when):
        contents = {s.name: check.content(s.database) for s in self.sites}
        first = self.sites[0].name
        for s in self.sites[1:]:
            for w in check.differ({first: contents[first]}, {first: contents[s.name]})[:5]:
                self.fail(f"{when}: {s.name} and {w}")
        for s in self.sites:
            for w in check.sound(s.database):
                self.fail(f"{when}: {s.name}: {w}")

    def laws(self):
        if self.plant == "forget":
            # Typed over where no other place knows better: and the ledger believes in the old value.
            self.ledger.forget(self.sites[0])
            self.rounds("planted")
        if self.plant == "differ":
            self.sites[0].sql("UPDATE visit SET note = 'behind the back' WHERE id = (SELECT max(id) FROM visit)")
        if self.plant == "restless":
            self.sites[0].sql("UPDATE visit SET note = 'once more' WHERE id = (SELECT max(id) FROM visit)")
        # (b) All databases are equal and sound.
        self.compare("at the end")
        # (a) What was typed is there.
        where = self.ledger.settle(self.sites, self.fail)
        self.told["trouble"] = self.cloud.report()
        # A log segment that the client itself deleted is a gap, and stays one: nothing is lost by it.
        gap = {d for d in self.cloud.deleted if not any(os.path.exists(os.path.join(s.folder, "logs", d + ".xml")) for s in self.sites)}
        # (c) Nothing is left to do, and doing nothing writes nothing.
        before = [tree(s.folder) for s in self.sites]
        for s in self.sites:
            r = s.sync()
            if 0 < r.get("pending", 0) <= len(gap):
                r["pending"] = 0
            if r.get("files_written") or r.get("held") or r.get("pending") or r.get("bad_files"):
                self.fail(f"at rest {s.name} has {told({k: len(v) if isinstance(v, list) else v for k, v in r.items() if k in ('files_written', 'held', 'pending', 'bad_files')})}")
        if self.plant != "restless" and [tree(s.folder) for s in self.sites] != before:
            self.fail("at rest a synchronization changed the folder")
        # (d) No conflict file is left.
        for s in self.sites:
            for c in sorted(copies(s.folder))[:5]:
                self.fail(f"a conflict file is left at {s.name}: {c}")
            for w in check.torn(s.folder)[:5]:
                self.fail(f"{s.name}: {w}")
            done = s.cfs("verify")
            differs = [w for w in re.findall(r"^DIFFERS.*\n +(.*)", done.stdout, re.M) if not (gap and w.endswith("before it are missing"))]
            if done.returncode and (differs or not gap):
                self.fail(f"verify at {s.name}: exit code {done.returncode}: {done.stdout.strip()[-400:]}")
        files = {k: sum(s.files[k] for s in self.sites) for k in ("found", "merged", "deleted")}
        self.told |= {"values": where, "syncs": sum(s.syncs for s in self.sites), "copies_made": self.new, "copies": files}
        self.say(f"values: {told(where)}")
        self.say(f"copies: {self.new} made by {self.args.client}, {told(files)} (all sites, {self.told['syncs']} synchronizations)")
        if self.told["trouble"]:
            self.say(f"the client itself: {told(self.told['trouble'])}")
        if not self.new:
            self.fail("THE CLIENT MADE NO CONFLICT COPY: this run proves nothing")

    def orphan(self):
        """Without logs: one site's last edits come to the others, then it is gone for good. Where its version lost
        against another, the client's conflict copy alone has them."""
        for s in self.sites:
            s.no_logs()
        if not self.rounds("without logs"):
            return
        gone, *left = self.sites
        common = sorted(set.intersection(*(s.people() for s in self.sites)))
        chosen = self.random.sample(common, min(6, len(common)))
        self.count_copies()
        made = self.new

        def apart():
            # Two versions: of a third, Syncthing would throw one away (see docs/RELIABILITY.md).
            for s, field in zip(self.sites, ("phone", "address")):
                for nid in chosen:
                    s.type("patient", field, nid)
                s.sync()
                # The times of files say who was last.
                time.sleep(1.2)

        outage = {"syncthing": "term"}.get(self.args.client, "pause")
        if self.args.client == "syncthing":
            self.cloud.random.random = lambda: 0.0  # all of them
        self.cloud.down(outage, apart)
        last = [t for t in self.ledger.alive(gone.name) if self.ledger.tokens[t].nid in chosen and self.ledger.tokens[t].field == "phone"]
        if not self.cloud.settle():
            self.fail("without logs: the replicas do not become the same")
            return
        self.count_copies()
        made = self.new - made
        texts = {}
        for rel in tree(left[0].folder):
            with open(os.path.join(left[0].folder, rel), encoding="utf-8", errors="replace") as f:
                texts[rel] = f.read()
        there = copies(left[0].folder)
        only = [t for t in last if not any(t in text for rel, text in texts.items() if rel not in there) and any(t in texts[rel] for rel in there)]
        if self.plant == "unread":
            for s in self.sites:
                for c in copies(s.folder):
                    os.unlink(os.path.join(s.folder, c))
        self.rounds("one site is gone", left)
        for s in left:
            knows = s.knows()
            for t in last:
                if not any(t in k for k in knows.values()):
                    self.fail(f"{s.name} has lost {self.ledger.tokens[t]} of the site that is gone")
        self.told["orphans"] = {"typed": len(last), "in a copy alone": len(only), "copies": made}
        self.say(f"a site that is gone: {told(self.told['orphans'])}")
        if not only:
            self.fail("no value was in a conflict copy alone: the last phase proves nothing")

    def all(self):
        start = time.monotonic()
        try:
            self.set_up()
            self.storm()
            if not self.wrong:
                self.heal()
            if not self.wrong or self.plant:
                self.laws()
            if not self.wrong:
                self.orphan()
        except Exception as e:  # what cannot be checked has failed
            self.fail(f"{type(e).__name__}: {e}")
            if self.args.trace:
                raise
        finally:
            if self.cloud:
                self.cloud.close()
        if self.wrong and not self.plant:
            self.say(f"kept: {self.top}")
        elif not self.args.keep:
            shutil.rmtree(self.top, ignore_errors=True)
        self.told |= {"failed": self.wrong, "seconds": round(time.monotonic() - start)}
        return not self.wrong


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("client", choices=sorted(CLIENTS))
    p.add_argument("--seconds", type=float, default=60, help="how long writers edit")
    p.add_argument("--seed", default="1", help="of what is drawn; what happens at the same time differs from run to run")
    p.add_argument("--sites", type=int, default=2, choices=[2, 3])
    p.add_argument("--cfs", default=os.path.join(HERE, "..", "..", "target", "release", "cfs"))
    p.add_argument("--plant", choices=[*PLANTS, "all"], help="; ".join(f"{k}: {v}" for k, (v, _) in PLANTS.items()) + "; all: each in turn must be noticed")
    p.add_argument("--dir", help="where the temporary directory is made")
    p.add_argument("--json", action="store_true")
    p.add_argument("--keep", action="store_true", help="keep the directory")
    p.add_argument("--trace", action="store_true")
    args = p.parse_args()
    args.cfs = os.path.abspath(args.cfs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    why = CLIENTS[args.client].why_not()
    if why:
        print(json.dumps({"skipped": why}) if args.json else f"skipped: {why}")
        return 0
    if args.plant == "all":
        missed = []
        for plant in PLANTS:
            if not args.json:
                print(f"== planted: {plant}: {PLANTS[plant][0]}", flush=True)
            run = Run(args, plant)
            run.all()
            if not any(PLANTS[plant][1] in w for w in run.wrong):
                missed.append(plant)
        noticed = len(PLANTS) - len(missed)
        print(json.dumps({"planted": len(PLANTS), "missed": missed}) if args.json else f"planted bugs: {noticed} of {len(PLANTS)} noticed{', NOT ' + ', '.join(missed) if missed else ''}")
        return 1 if missed else 0
    run = Run(args, args.plant)
    run.told |= {"client": args.client, "version": CLIENTS[args.client].version(), "sites": args.sites, "seed": args.seed}
    run.say(f"{args.client} {run.told['version']}, {args.sites} sites, seed {args.seed}")
    fine = run.all()
    print(json.dumps(run.told) if args.json else f"{'nothing lost' if fine else f'{len(run.wrong)} FAILED'}, {run.told['seconds']} s")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
