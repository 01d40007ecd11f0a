#!/usr/bin/env python3
"""Plants bugs, one after the other, and tells which harness finds each, by which law, after how many steps.

See docs/RELIABILITY.md. `--table` writes the table as it stands there.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..")
TARGET = os.path.join(ROOT, "target", "planted")

MERCILESS, PLAIN = ("storm", "a_merciless_storm", 300), ("storm", "a_storm_of_long_stories", 300)


def crash(kind, scenario="send", every=7):
    return ("crash", kind, scenario, every)


# Each: the rule that it breaks, and the harnesses that are asked, the likeliest first.
BUGS = {
    "newest-unseen": ("a version covers the newest stamp it names (`>` for `>=`)", MERCILESS),
    "tombstone-ignores-unseen": ("a tombstone deletes only what its author had seen", MERCILESS),
    "last-writer-wins": ("a value that lost against a concurrent one is kept", MERCILESS),
    "delta-before-its-time": ("a delta is taken in only on what it was written on", MERCILESS),
    "erased-stays": ("an erased record has no content, whatever arrives for it", MERCILESS),
    "clock-goes-back": ("stamps never go backwards at a site", MERCILESS),
    "no-brake": ("when many files are gone, nothing is written until a person says so", MERCILESS),
    "no-read-repair": ("a record file that lacks something known is written again", MERCILESS),
    "pending-dropped": ("a delta that came too early is kept for a retry", MERCILESS, PLAIN),
    "cursor-passes-a-gap": ("a cursor never passes a segment that has not come", PLAIN, MERCILESS),
    "held-taken-for-applied": ("a refused record does not count as applied", MERCILESS),
    "chart-in-part": ("a chart is applied whole or not at all", MERCILESS),
    "log-before-data": ("a log tells of a record once its file is there", MERCILESS),
    "announced-early": ("a site file names segments that are there", MERCILESS, crash("kill")),
    "told-undelivered": ("what could not be written is not told of", MERCILESS),
    "copy-deleted-early": ("a conflict file goes once its record's file holds all of it", MERCILESS),
    "any-folder": ("another folder in the place of ours is refused", MERCILESS),
    "clone-not-noticed": ("a database put back or copied takes a new name before it stamps", MERCILESS),
    "delete-by-absence": ("a row that is gone from the host is not deleted elsewhere", MERCILESS),
    "missing-file-deletes": ("a record file that is gone deletes nothing", MERCILESS),
    "known-taken-for-seen": ("seen means applied to the host, not merely known", MERCILESS),
    "stale-form-wins": ("who saves a form opened before the sync has not seen what the sync brought", MERCILESS),
    "own-writes-echo": ("what a trigger made of our own write is no edit", MERCILESS),
    "typed-meanwhile-forgotten": ("what the host writes during a sync is for the next one", MERCILESS),
    "stripped-early": ("trash is kept until every site has the tombstone", MERCILESS),
    "stripped-taken-for-empty": ("a deletion that is undone where the content was stripped empties nobody's chart", MERCILESS),
    "number-is-identity": ("a new row under an old number is a new row", MERCILESS),
    "identity-given-twice": ("no two records get one identity", MERCILESS),
    "move-half-noted": ("a row that moves is noted where it left", MERCILESS),
    "entity-lost": ("an entity reference is part of the text", MERCILESS),
    "carriage-return-raw": ("a carriage return is spelt out", MERCILESS),
    "hash-not-checked": ("a file that does not match its hash is not read", MERCILESS),
    "no-sync-before-rename": ("a file is on disk before its name is", crash("cut")),
    "rename-not-synced": ("a name is on disk before anything refers to it", crash("undo")),
    "in-place-write": ("a file is whole or not visible", crash("half")),
    "told-before-durable": ("what is told is durable in the database first", crash("cut")),
}


def build():
    """Builds the test binary and the program with all bugs in them; gives the test binary."""
    env = dict(os.environ, RUSTFLAGS="--cfg cfs_planted", CARGO_TARGET_DIR=TARGET)
    done = subprocess.run(["cargo", "test", "--locked", "--test", "it", "--no-run", "--message-format=json"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    made = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in made if m.get("executable") and m["target"]["name"] == "it")


def where(name):
    """The one place where a bug is planted."""
    places = []
    for path in sorted(glob.glob(os.path.join(ROOT, "src", "**", "*.rs"), recursive=True)):
        with open(path, encoding="utf-8") as f:
            places += [os.path.relpath(path, ROOT)] * f.read().count(f'bug("{name}")')
    assert len(places) == 1, f"{name} is planted at {places}"
    return places[0]


def run(it, bug, harness, args):
    """Gives what one harness says of a bug: (found, in words)."""
    env = dict(os.environ, CFS_PLANTED=bug)
    if harness[0] == "storm":
        _, test, steps = harness
        env.update(STORM_HUNT="1", STORM_FROM=str(args.seed), STORM_SEEDS=str(args.stories), STORM_STEPS=str(steps))
        command = [it, "--exact", f"storm::{test}", "--nocapture"]
    else:
        _, kind, scenario, every = harness
        test = f"crash, {kind}"
        cfs = os.path.join(TARGET, "debug", "cfs")
        command = [os.path.join(HERE, "crash", "run.py"), "--cfs", cfs, "--scenarios", scenario, "--kinds", kind, "--every", str(every), "--jobs", "1", "--show", "1"]
        command += ["--first"] if bug else []
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace", timeout=args.timeout)
    except subprocess.TimeoutExpired:
        return False, f"{test}: no end in {args.timeout} s"
    out = done.stdout + done.stderr
    if harness[0] == "storm":
        m = re.search(r"hunt: (\d+) steps in (\d+) stories, (?:nothing|seed (\d+), (\d+) steps: (.*))", out)
        if not m:
            return False, f"{test}: no answer: {out.strip()[-200:]}"
        total, stories, seed, least, law = m.groups()
        name = test.removeprefix("a_").replace("_", " ")
        if not seed:
            return False, f"{name}: nothing in {total} steps"
        return True, f"{name}: {law[:90]} | {total} (story {stories}, seed {seed}; the same seed: {least})"
    m = re.search(r"(\d+) runs interrupted, (\d+) failed", out)
    if not m:
        # The world without a fault already fails.
        return "AssertionError" in out, f"crash harness, `{kind}`: before any fault: {out.strip().splitlines()[-1][:90]} | 0 runs"
    why = re.search(r"-> (.*)", out)
    law = why[1].split(" | ")[0][:70] if why else "nothing"
    law = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", law)
    return int(m[2]) > 0, f"crash harness, `{kind}`: {law} | {m[1]} interrupted runs"


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("bugs", nargs="*", help="only these; `none` is the control")
    p.add_argument("--seed", type=int, default=60000, help="of the first story")
    p.add_argument("--stories", type=int, default=60, help="at most so many for each bug")
    p.add_argument("--timeout", type=int, default=900, help="seconds for each harness")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--table", action="store_true")
    p.add_argument("--no-build", metavar="BINARY", help="the test binary, built before")
    args = p.parse_args()
    it = args.no_build or build()

    def look(bug):
        rule, *harnesses = BUGS[bug]
        said = []
        for h in harnesses:
            found, words = run(it, bug, h, args)
            said.append(words)
            if found:
                return bug, True, words
        return bug, False, "; ".join(said)

    missed = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        controls = sorted({h for _, *all_of in BUGS.values() for h in all_of}, key=str) if not args.bugs or "none" in args.bugs else []
        for h, (found, words) in zip(controls, pool.map(lambda h: run(it, "", h, args), controls)):
            print(f"no bug: {words}{'  <- must find nothing' if found else ''}", flush=True)
            missed += [f"control {h}"] if found else []
        bugs = [b for b in args.bugs if b != "none"] or ([] if args.bugs else list(BUGS))
        for bug, found, words in pool.map(look, bugs):
            if args.table:
                by, _, steps = words.partition(" | ")
                print(f"| `{bug}` | {where(bug)} | {BUGS[bug][0]} | {by} | {steps} |", flush=True)
            else:
                print(f"{bug} ({where(bug)}): {'' if found else 'NOT FOUND: '}{words}", flush=True)
            missed += [] if found else [bug]
    print(f"{len(bugs) - len([m for m in missed if m in BUGS])} of {len(bugs)} bugs found" + (f"; not: {', '.join(missed)}" if missed else ""), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
