#!/usr/bin/env python3
"""Interrupts a synchronization at every file-system call, and looks what is left. See docs/RELIABILITY.md."""

import argparse
import collections
import concurrent.futures
import errno
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import check
import cut
import image
from worlds import SCENARIOS, World, HERE

ERRORS = ["ENOSPC", "EIO", "EROFS", "EACCES", "EMFILE"]
KILLS = ["kill", "half", "cut", "undo"]


def build(out):
    """Builds the shim; gives why it cannot be, if so."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "it needs Linux on x86-64"
    cc = shutil.which("cc") or shutil.which("gcc")
    if not cc:
        return "there is no C compiler"
    done = subprocess.run([cc, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", out, os.path.join(HERE, "fault.c"), "-ldl"], capture_output=True, text=True)
    if done.returncode != 0:
        return f"the fault library does not build: {done.stderr.strip().splitlines()[-1]}"
    seen = out + ".count"
    done = subprocess.run(["/bin/cat", "/dev/null"], env={"LD_PRELOAD": out, "CFS_FAULT": "count", "CFS_FAULT_SET": "all", "CFS_FAULT_COUNT": seen}, capture_output=True)
    if done.returncode != 0 or not os.path.exists(seen):
        return "LD_PRELOAD or seccomp filters do not work here"
    return None


class Scenario:
    """A world, its operation, and what comes of it when nothing goes wrong."""

    def __init__(self, name, make, top, binary, shim):
        self.name, self.top = name, os.path.join(top, name)
        os.makedirs(self.top)
        self.world = World(os.path.join(self.top, "world"), binary, shim)
        self.images, self.lock = {}, threading.Lock()
        self.site, self.args = make(self.world)
        self.sites = [s for s in "abc" if os.path.isdir(self.world.at(s))]
        w = self.copy("without")
        w.rounds(2, self.sites)
        self.without = check.outcome(w, self.sites)
        w = self.copy("count-all")
        self.calls = {"all": self.count(w, "all")}
        w.rounds(2, self.sites)
        self.want = check.outcome(w, self.sites)
        w = self.copy("count-change")
        self.calls["change"] = self.count(w, "change")
        for o in {id(self.want): self.want, id(self.without): self.without}.values():
            assert all(o[s] == o["a"] for s in self.sites), f"{name}: the places differ without any fault: {check.differ({'a': o['a']}, {'a': o['b']})}"
        wrong = self.verified(w := self.again(w))
        assert not wrong, f"{name}: without any fault: {wrong}"
        for n in ("without", "count-all", "count-change"):
            shutil.rmtree(os.path.join(self.top, n))

    def again(self, w):
        w.rounds(2, self.sites)
        return w

    def copy(self, name):
        path = os.path.join(self.top, name)
        subprocess.run(["cp", "-a", self.world.path, path], check=True)
        w = World(path, self.world.binary, self.world.shim)
        w.days = self.world.days
        return w

    def count(self, w, which):
        out = w.at("calls")
        w.must(self.site, *self.args, fault={"CFS_FAULT": "count", "CFS_FAULT_SET": which, "CFS_FAULT_COUNT": out, "CFS_FAULT_SEED": 1})
        with open(out, encoding="ascii") as f:
            n = int(f.read())
        os.unlink(out)
        return n

    def verified(self, w):
        wrong = []
        for s in self.sites:
            done = w.cfs(s, "verify")
            if done.returncode != 0:
                wrong.append(f"verify at {s}: exit code {done.returncode}: {(done.stdout + done.stderr).strip()[:400]}")
        return wrong

    def fault(self, kind, which, at, error=None, on=False, plant=None):
        """One interrupted run and its recovery. Gives (whether the fault was reached, what is wrong)."""
        name = f"{kind}-{which}-{at}-{error}-{int(on)}"
        w = self.copy(name)
        try:
            return self.interrupted(w, kind, which, at, error, on, plant)
        except subprocess.TimeoutExpired as e:
            return True, [f"no end in {e.timeout} s: {e.cmd[-2:]}"]
        except Exception as e:  # a check that cannot be done has failed
            return True, [f"{type(e).__name__}: {e}"]
        finally:
            shutil.rmtree(w.path, ignore_errors=True)

    def interrupted(self, w, kind, which, at, error, on, plant):
        mode = {"error": "error", "half": "half"}.get(kind, "kill")
        fault = {"CFS_FAULT": mode, "CFS_FAULT_SET": which, "CFS_FAULT_AT": at, "CFS_FAULT_SEED": at + 1}
        if error:
            fault.update({"CFS_FAULT_ERRNO": getattr(errno, error), "CFS_FAULT_ON": int(on)})
        if plant:
            fault["CFS_FAULT_PLANT"] = plant
        if kind in ("cut", "undo"):
            os.mkdir(w.at("keep"))
            fault.update({"CFS_FAULT_LOG": w.at("journal"), "CFS_FAULT_KEEP": w.at("keep")})
        if kind in image.KINDS:
            with self.lock:
                if kind not in self.images:
                    self.images[kind] = image.Image(self.top, kind, self.world.path)

            def run(path):
                there = World(path, w.binary, w.shim)
                there.days = w.days
                return there.cfs(self.site, *self.args, fault=fault)

            done = self.images[kind].cut(w.path, run)
        else:
            done = w.cfs(self.site, *self.args, fault=fault)
        wrong = []
        if kind == "error":
            reached = True
            said = done.stderr.strip()
            if "panicked" in said or done.returncode not in (0, 1, 2, 3):
                wrong.append(f"exit code {done.returncode}: {said[:400]}")
            elif done.returncode == 3:
                wrong.append(f"says that another synchronization is running: {said[:200]}")
            elif done.returncode and not said.startswith("cfs: "):
                wrong.append(f"exit code {done.returncode} without a sentence: {said[:200]}")
        else:
            reached = done.returncode == -9
            if not reached and done.returncode != 0:
                wrong.append(f"exit code {done.returncode}: {done.stderr.strip()[:400]}")
        if kind in ("cut", "undo"):
            cut.apply(w.at("journal"), w.at("keep"), kind == "undo")
            if os.environ.get("CFS_CRASH_KEEP"):
                shutil.copy(w.at("journal"), os.environ["CFS_CRASH_KEEP"])
            shutil.rmtree(w.at("keep"))
        wrong += check.torn(w.at("folder"))
        for s in self.sites:
            wrong += check.sound(w.at(s, "clinic.db"))
        if wrong:
            return reached, wrong
        # One plain run each, and once more for the answer.
        order = [self.site] + [s for s in self.sites if s != self.site]
        for _ in range(2):
            for s in order:
                again = w.cfs(s, "sync")
                if again.returncode != 0 or "panicked" in again.stderr:
                    return reached, [f"the next run at {s}: exit code {again.returncode}: {again.stderr.strip()[:400]}"]
        got = check.outcome(w, self.sites)
        if self.args != ["sync"] and not check.differ(self.without, got):
            # The command had done nothing yet: the person gives it again.
            w.must(self.site, *self.args)
            w.rounds(2, order)
            got = check.outcome(w, self.sites)
        wrong += check.differ(self.want, got) + self.verified(w) + check.torn(w.at("folder"))
        for s in self.sites:
            wrong += check.sound(w.at(s, "clinic.db"))
        return reached, wrong


def plan(s, args):
    """The faults of a scenario."""
    for kind in args.kinds:
        if kind in KILLS or kind in image.KINDS:
            for at in range(1 + args.offset % args.every, s.calls["change"] + 2, args.every):
                yield kind, "change", at, None, False
        else:
            step = args.every_error or args.every
            k = args.offset
            for at in range(1 + args.offset % step, s.calls[args.set] + 1, step):
                for error in ERRORS if args.all_errors else [ERRORS[k % len(ERRORS)]]:
                    for on in (False, True) if args.all_errors else (k // len(ERRORS) % 2 == 1,):
                        yield "error", args.set, at, error, on
                k += 1


def blind(s):
    """Plants bugs, and gives those that nothing was noticed of."""
    log, missed = os.path.join(s.top, "journal"), []
    w = s.copy("planted")
    w.must(s.site, *s.args, fault={"CFS_FAULT": "count", "CFS_FAULT_LOG": log, "CFS_FAULT_PLANT": "inplace"})
    with open(log, encoding="utf-8", errors="replace") as f:
        first = next(i for i, line in enumerate(f, 1) if line.startswith("write") and "/folder/records/" in line)
    late = s.calls["change"] * 9 // 10
    plants = {"inplace": ("half", first), "notemp": ("kill", first), "nosync-folder": ("cut", late), "nosync-db": ("cut", first + 8)}
    for plant, (kind, at) in plants.items():
        # Calls shift a little from run to run.
        if not any(s.fault(kind, "change", at + i, plant=plant)[1] for i in (0, 1, -1, 8, 16, 24, 32, 40)):
            missed.append(plant)
    shutil.rmtree(w.path)
    return missed


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--cfs", default=os.path.join(HERE, "..", "..", "target", "quick", "cfs"))
    p.add_argument("--scenarios", nargs="*", default=["send", *(n for n in SCENARIOS if n != "send")])
    p.add_argument("--kinds", nargs="*", default=[*KILLS, "error"])
    p.add_argument("--set", default="change", choices=["change", "all"], help="calls that get an error")
    p.add_argument("--every", type=int, default=1, help="only every k-th call")
    p.add_argument("--every-error", type=int, default=0)
    p.add_argument("--offset", type=int, default=0)
    p.add_argument("--all-errors", action="store_true", help="each error at each call, once and from then on")
    p.add_argument("--plant", help="a planted bug of fault.c, to see it caught")
    p.add_argument("--sample", type=float, default=0, metavar="SECONDS", help="planted bugs, then faults drawn by lot, for about so long")
    p.add_argument("--seed", default="1", help="of the lot")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--first", action="store_true", help="stop at the first failure")
    p.add_argument("--show", type=int, default=5, help="failures shown for each scenario")
    args = p.parse_args()
    args.cfs = os.path.abspath(args.cfs)
    top = tempfile.mkdtemp(prefix="cfs-crash-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    start, failed, total = time.monotonic(), 0, 0
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    try:
        shim = os.path.join(top, "fault.so")
        why = build(shim)
        if why:
            print(f"crash harness skipped: {why}")
            return 0
        for kind in [k for k in args.kinds if k in image.KINDS]:
            if image.why_not(kind):
                print(f"{kind} skipped: {image.why_not(kind)}")
                args.kinds.remove(kind)
        if args.sample:
            others = args.scenarios[1:]
            args.scenarios[1:] = random.Random(args.seed).sample(others, min(4, len(others)))
            print(f"by lot, seed {args.seed}: {', '.join(args.scenarios)}", flush=True)
        for name in args.scenarios:
            if stopped or args.sample and time.monotonic() - start > args.sample:
                break
            s = Scenario(name, SCENARIOS[name], top, args.cfs, shim)
            if args.sample and name == args.scenarios[0]:
                missed = blind(s)
                print(f"planted bugs: {'4 of 4 caught' if not missed else 'NOT caught: ' + ', '.join(missed)}", flush=True)
                failed += len(missed)
            tally, bad = collections.Counter(), []
            jobs = list(plan(s, args))
            if args.sample:
                random.Random(f"{args.seed} {name}").shuffle(jobs)
            # What is left of the time, in equal parts.
            now, left = time.monotonic(), len(args.scenarios) - args.scenarios.index(name)
            until = args.sample and now + max(1.0, (start + args.sample - now) / left - 1.5 * (left > 1))

            def one(job):
                if stopped or until and time.monotonic() > until:
                    return None
                return job, s.fault(*job, plant=args.plant)

            with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
                for done in pool.map(one, jobs):
                    if done is None:
                        continue
                    job, (reached, wrong) = done
                    tally[job[0] if reached else job[0] + " (not reached)"] += 1
                    if wrong:
                        bad.append((job, wrong))
                        stopped.extend([1] if args.first else [])
            shutil.rmtree(s.top, ignore_errors=True)
            failed += len(bad)
            total += sum(tally.values())
            said = ", ".join(f"{n} {k}" for k, n in sorted(tally.items()))
            print(f"{name}: {s.calls['change']} changing calls of {s.calls['all']}; {said}; {len(bad)} failed", flush=True)
            for job, wrong in bad[: args.show]:
                print("   ", *(x for x in job if x is not None), "->", " | ".join(wrong[:3]), flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print(f"{total} runs interrupted, {failed} failed, {time.monotonic() - start:.0f} s")
    return 1 if failed or stopped else 0


if __name__ == "__main__":
    sys.exit(main())
