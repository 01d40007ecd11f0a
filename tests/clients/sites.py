"""The places: a clinic's database each, people who type into it, and what they typed."""

import collections
import dataclasses
import json
import os
import random
import re
import sqlite3
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CLINIC = os.path.join(HERE, "..", "..", "fixtures", "clinic")
TOKEN = re.compile(r"tk\d{6}[abc]")

# Fields that people type into, and how their rows hang off a patient.
FIELDS = {
    ("patient", "phone"): "SELECT id FROM patient WHERE national_id = ?",
    ("patient", "address"): "SELECT id FROM patient WHERE national_id = ?",
    ("patient", "blood_group"): "SELECT id FROM patient WHERE national_id = ?",
    ("visit", "note"): "SELECT v.id FROM visit v JOIN patient p ON p.id = v.patient_id WHERE p.national_id = ? ORDER BY v.visit_date",
    ("prescription", "dose"): "SELECT r.id FROM prescription r JOIN visit v ON v.id = r.visit_id JOIN patient p ON p.id = v.patient_id WHERE p.national_id = ? ORDER BY r.drug",
    ("allergy", "severity"): "SELECT a.id FROM allergy a JOIN patient p ON p.id = a.patient_id WHERE p.national_id = ? ORDER BY a.substance",
    ("doctor", "phone"): "SELECT id FROM doctor WHERE ? <> '' ORDER BY licence",
}


def told(counts):
    return ", ".join(f"{n} {k}" for k, n in counts.items())


@dataclasses.dataclass
class Typed:
    """A value that somebody typed. `over`: by whom it was typed over, by somebody who saw it."""

    site: str
    table: str
    field: str
    nid: str
    what: str
    over: str = None

    def __str__(self):
        return f"{self.table}.{self.field} of {self.nid}, {self.what} at {self.site}"


class Ledger:
    """Every value that was typed. Each is a word of its own."""

    def __init__(self):
        self.tokens, self.lock, self.n, self.deleted = {}, threading.Lock(), 0, 0

    def next(self, site):
        with self.lock:
            self.n += 1
            return f"tk{self.n:06d}{site}"

    def typed(self, token, typed, old=None):
        with self.lock:
            self.tokens[token] = typed
            # Read in the same transaction: whoever typed over it had it before their eyes.
            if old in self.tokens:
                self.tokens[old].over = token

    def edits(self):
        counts = collections.Counter(t.what for t in self.tokens.values())
        return {**counts, "deleted": self.deleted}

    def alive(self, site=None):
        return [t for t, v in self.tokens.items() if v.over is None and site in (None, v.site)]

    def forget(self, site):
        """Planted: a value is typed over, and nobody writes it down."""
        rows = site.sql("SELECT id, note FROM visit WHERE note LIKE 'tk%'")
        rows = [r for r in rows if r[1] in self.tokens and self.tokens[r[1]].over is None]
        site.sql("UPDATE visit SET note = 'nobody wrote this down' WHERE id = ?", rows[-1][0])

    def settle(self, sites, fail):
        """Where each value is at the end: at every site, and at every one in the same place."""
        knows = [s.knows() for s in sites]
        counts = collections.Counter(typed=len(self.tokens))
        lost = 0
        for token, typed in self.tokens.items():
            if typed.over is not None:
                counts["typed over"] += 1
                continue
            where = [next((k for k, words in site.items() if token in words), None) for site in knows]
            if None in where or len(set(where)) > 1:
                lost += 1
                if lost <= 10:
                    places = ', '.join(f'{w or "NOWHERE"} at {s.name}' for w, s in zip(where, sites))
                    fail(f"{token} ({typed}) is {places}")
            else:
                counts[where[0]] += 1
        counts["lost"] = lost
        return dict(counts)


class Site:
    def __init__(self, run, path, name, number):
        self.run, self.path, self.name = run, path, name
        self.database, self.config, self.folder = (os.path.join(path, n) for n in ("clinic.db", "cfs.toml", "folder"))
        os.makedirs(self.folder)
        self.random = random.Random(f"{run.args.seed} {name}")
        self.hot, self.hush, self.still, self.syncs, self.number = None, False, False, 0, number
        self.files = collections.Counter()
        self.turns = threading.Event()

    def build(self, data):
        conn = sqlite3.connect(self.database)
        conn.execute("PRAGMA journal_mode = WAL")
        for name in ("schema.sql", data):
            if name:
                with open(os.path.join(CLINIC, name), encoding="utf-8") as f:
                    conn.executescript(f.read())
        conn.close()

    def init(self):
        done = self.cfs("init", "--database", self.database, "--folder", self.folder, "--site", self.name, "--match-on", "national_id")
        if done.returncode:
            raise RuntimeError(f"init at {self.name}: {done.stderr}")
        if self.run.plant == "keep":
            self.settings(r"^delete_conflicts = true", "delete_conflicts = false")

    def settings(self, old, new):
        with open(self.config, encoding="utf-8") as f:
            text, n = re.subn(old, new, f.read(), flags=re.M)
        assert n == 1, f"{old} is not in cfs.toml"
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def no_logs(self):
        self.settings(r"^use_logs = true", "use_logs = false")

    def cfs(self, *args):
        env = dict(os.environ, XDG_STATE_HOME=os.path.join(self.path, "state"), RUST_BACKTRACE="0")
        return subprocess.run([self.run.args.cfs, "--config", self.config, *args], env=env, capture_output=True, text=True, errors="replace", timeout=300)

    def sync(self, *more):
        return self.command("sync", "--json", *more)

    def command(self, *args, fine=""):
        """A command that synchronizes; anything but exit code 0 is a failure, but where it says `fine`."""
        self.run.count_copies()
        done = self.cfs(*args)
        self.syncs += 1
        if done.returncode == 2 and fine and fine in done.stderr:
            return {}
        if done.returncode:
            self.run.fail(f"cfs {args[0]} at {self.name}: exit code {done.returncode}: {done.stderr.strip()[:400]}")
            return {}
        report = json.loads(done.stdout)
        self.files.update(report["conflict_files"])
        with open(os.path.join(self.path, "reports"), "a", encoding="utf-8") as f:
            f.write(f"{time.strftime('%H:%M:%S')} {args} {json.dumps(report)}\n")
        return report

    def sql(self, text, *values):
        conn = self.open()
        try:
            with conn:
                return conn.execute(text, values).fetchall()
        finally:
            conn.close()

    def open(self):
        conn = sqlite3.connect(self.database, timeout=60)
        conn.execute("PRAGMA foreign_keys = ON")
        return conn

    def people(self):
        return {r[0] for r in self.sql("SELECT national_id FROM patient WHERE national_id IS NOT NULL")}

    def knows(self):
        """The words that are current, superseded and in the trash."""
        conn = self.open()
        current = set()
        for table in ("patient", "visit", "prescription", "allergy", "doctor", "document", "appointment"):
            for row in conn.execute(f"SELECT * FROM {table}"):
                for v in row:
                    v = v.decode("latin-1") if isinstance(v, bytes) else v
                    if isinstance(v, str):
                        current.update(TOKEN.findall(v))
        conn.close()
        lost = set(TOKEN.findall(self.asked("conflicts")))
        trash = self.asked("trash")
        gone = set(TOKEN.findall(trash))
        for record in sorted({t["record"] for t in json.loads(trash)["trash"]}):
            # All rows of the chart that are deleted, with what lost in them.
            for row in json.loads(self.asked("show", record))["rows"]:
                if row["state"] != "live":
                    gone.update(TOKEN.findall(json.dumps(row)))
        return {"current": current, "superseded": lost - current, "in the trash": gone - lost - current}

    def asked(self, *args):
        done = self.cfs(*args, "--json")
        if done.returncode:
            raise RuntimeError(f"cfs {args[0]} at {self.name}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    # Typing. Each is one transaction that reads what it is about to write over.
    def type(self, table, field, nid):
        ledger = self.run.ledger
        token = ledger.next(self.name)
        conn = self.open()
        conn.isolation_level = None
        try:
            conn.execute("BEGIN IMMEDIATE")
            ids = [r[0] for r in conn.execute(FIELDS[table, field], (nid,))]
            if ids:
                # Often the first, so that two places meet.
                row = ids[0] if self.random.random() < 0.6 else self.random.choice(ids)
                old = conn.execute(f"SELECT {field} FROM {table} WHERE id = ?", (row,)).fetchone()[0]
                conn.execute(f"UPDATE {table} SET {field} = ? WHERE id = ?", (token, row))
                # Told before anybody else can read the row.
                ledger.typed(token, Typed(self.name, table, field, nid, "updated"), old)
            conn.execute("COMMIT")
        finally:
            conn.close()

    def insert(self, nid):
        kind = self.random.choice(["visit", "visit", "allergy", "document", "appointment", "patient"])
        ledger, token = self.run.ledger, self.run.ledger.next(self.name)
        conn = self.open()
        conn.isolation_level = None
        try:
            conn.execute("BEGIN IMMEDIATE")
            if kind == "patient":
                nid, field = f"N{token}", "phone"
                conn.execute("INSERT INTO patient (national_id, last_name, first_name, birth_date, phone) VALUES (?, ?, 'New', '2001-01-01', ?)", (nid, f"Person {token[2:]}", token))
            else:
                found = conn.execute("SELECT id FROM patient WHERE national_id = ?", (nid,)).fetchone()
                if found is None:
                    conn.execute("ROLLBACK")
                    return
                field = {"visit": "note", "allergy": "severity", "document": "content", "appointment": "state"}[kind]
                if kind == "visit":
                    v = conn.execute("INSERT INTO visit (patient_id, visit_date, reason, note) VALUES (?, ?, 'new', ?)", (found[0], f"2026-11-{self.random.randint(1, 28):02}", token)).lastrowid
                    conn.execute("INSERT INTO prescription (visit_id, drug, dose, days) VALUES (?, ?, '1-0-1', 7)", (v, f"Drug {token[2:]}"))
                elif kind == "allergy":
                    conn.execute("INSERT INTO allergy (patient_id, substance, severity) VALUES (?, ?, ?)", (found[0], f"Substance {token[2:]}", token))
                elif kind == "document":
                    # Some are large: they lie beside the record's file.
                    content = token.encode() + self.random.randbytes(self.random.choice([50, 500, 30_000]))
                    conn.execute("INSERT INTO document (patient_id, title, mime, content) VALUES (?, ?, 'image/png', ?)", (found[0], f"Scan {token}", content))
                else:
                    conn.execute("INSERT INTO appointment (patient_id, starts_at, state) VALUES (?, '2026-12-01 09:00', ?)", (found[0], token))
            ledger.typed(token, Typed(self.name, kind, field, nid, "inserted"))
            conn.execute("COMMIT")
        finally:
            conn.close()

    def write(self):
        """Somebody types, until it is over."""
        try:
            while not self.run.over.wait(self.random.uniform(0.05, 0.8)):
                if self.hush:
                    continue
                hot = self.hot
                people = sorted(self.people())
                if not people:
                    continue
                if self.run.plant == "calm":
                    # Everybody types into charts of their own alone.
                    people = people[self.number :: len(self.run.sites)]
                    self.insert(self.random.choice(people))
                    continue
                nid = self.random.choice(hot) if hot and self.random.random() < 0.8 else self.random.choice(people)
                if self.random.random() < 0.75:
                    self.type(*self.random.choice(list(FIELDS)), nid)
                else:
                    self.insert(nid)
        except Exception as e:
            self.run.fail(f"typing at {self.name}: {type(e).__name__}: {e}")

    def synchronize(self):
        """Sync Now, again and again, and now and then a deletion."""
        try:
            while not self.run.over.wait(self.random.uniform(0.2, 2.0)):
                if self.still:
                    continue
                if self.random.random() < 0.03 and self.run.plant != "calm" and len(self.people()) > 12:
                    self.delete()
                else:
                    self.sync()
                self.turns.set()
        except Exception as e:
            self.run.fail(f"synchronizing at {self.name}: {type(e).__name__}: {e}")
            self.turns.set()

    def delete(self):
        nid = self.random.choice(self.hot or sorted(self.people()))
        found = self.sql("SELECT id FROM patient WHERE national_id = ?", nid)
        if not found:
            return
        args = ["delete", f"patient:{found[0][0]}", "--why", "harness", "--json"]
        rows = self.sql("SELECT id FROM visit WHERE patient_id = ?", found[0][0])
        if rows and self.random.random() < 0.5:
            args += ["--row", f"visit:{self.random.choice(rows)[0]}"]
        # A row that was typed since the last synchronization has no name yet.
        if self.command(*args, fine="the record has no such row"):
            self.run.ledger.deleted += 1
