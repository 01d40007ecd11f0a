"""The worlds in which a synchronization is interrupted: two clinics, one folder, one operation each."""

import glob
import json
import os
import shutil
import sqlite3
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = os.path.join(HERE, "..", "..", "fixtures", "clinic", "schema.sql")


class World:
    """A directory with `a/`, `b/` (a clinic each), `folder/` and `state/`."""

    def __init__(self, path, binary, shim):
        self.path, self.binary, self.shim, self.days = path, binary, shim, 0

    def at(self, *parts):
        return os.path.join(self.path, *parts)

    def cfs(self, site, *args, fault=None, days=None):
        """Runs cfs at a site. `fault`: settings of the shim."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("CFS_FAULT")}
        env["RUST_BACKTRACE"] = "0"
        settings = dict(fault or {})
        settings.setdefault("CFS_FAULT_DAYS", str(self.days if days is None else days))
        env.update({k: str(v) for k, v in settings.items()}, LD_PRELOAD=self.shim)
        return subprocess.run([self.binary, "--config", self.at(site, "cfs.toml"), *args], env=env, capture_output=True, text=True, errors="replace", timeout=120)

    def must(self, site, *args, **more):
        done = self.cfs(site, *args, **more)
        if done.returncode != 0:
            raise RuntimeError(f"{site}: cfs {' '.join(args)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done

    def sql(self, site, text, *values):
        conn = sqlite3.connect(self.at(site, "clinic.db"))
        conn.execute("PRAGMA foreign_keys = ON")
        try:
            with conn:
                if values:
                    return conn.execute(text, values).fetchall()
                return conn.executescript(text) and None
        finally:
            conn.close()

    def see(self, site, text):
        conn = sqlite3.connect(self.at(site, "clinic.db"))
        try:
            return conn.execute(text).fetchall()
        finally:
            conn.close()

    def clinic(self, site, patients=(), set_up=True):
        os.makedirs(self.at(site))
        for name in ("folder", "state"):
            os.makedirs(self.at(name), exist_ok=True)
        conn = sqlite3.connect(self.at(site, "clinic.db"))
        conn.execute("PRAGMA journal_mode = WAL")
        with open(SCHEMA, encoding="utf-8") as f:
            conn.executescript(f.read())
        conn.executescript("BEGIN;" + "".join(people(patients)) + "COMMIT;")
        conn.close()
        if set_up:
            self.set_up(site)

    def set_up(self, site):
        env = dict(os.environ, XDG_STATE_HOME=self.at("state"))
        done = subprocess.run([self.binary, "--config", self.at(site, "cfs.toml"), "init", "--database", self.at(site, "clinic.db"), "--folder", self.at("folder"), "--site", site, "--match-on", "national_id"], env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"init at {site}: {done.stderr}")
        with open(self.at(site, "cfs.toml"), encoding="utf-8") as f:
            text = f.read().replace(f'"{self.at("folder")}"', '"../folder"')
        with open(self.at(site, "cfs.toml"), "w", encoding="utf-8") as f:
            f.write('state_dir = "../state"\nretention_days = 3\n' + "\n".join(l for l in text.split("\n") if not l.startswith("retention_days")))
        assert self.path not in text, "the world can be copied"

    def rounds(self, n=2, sites="ab"):
        for _ in range(n):
            for s in sites:
                self.must(s, "sync")

    def record(self, site, nid):
        """The UUID of a patient."""
        key = self.see(site, f"SELECT id FROM patient WHERE national_id = '{nid}'")[0][0]
        return json.loads(self.must(site, "show", f"patient:{key}", "--json").stdout)["record"]

    def file(self, uuid):
        return glob.glob(self.at("folder", "records", "patient", "*", uuid + ".xml"))[0]


def nid(i):
    return f"ZZ{100000 + i}"


def people(numbers):
    """Charts of patients, each like no other."""
    yield "INSERT INTO settings VALUES ('clinic', 'a clinic');"
    for d in (1, 2):
        yield f"INSERT INTO doctor (id, licence, name) VALUES ({d}, 'LN-{d}', 'Dr. Number {d}');"
    for c in (1, 2, 3):
        yield f"INSERT INTO icd_code (id, code, title) VALUES ({c}, 'I{c}', 'Title {c}');"
    for k, i in enumerate(numbers, 1):
        yield f"INSERT INTO patient (id, file_no, national_id, last_name, first_name, phone, gp_id) VALUES ({k}, {k}, '{nid(i)}', 'Last {i}', 'First {i}', '555 {i:04}', {i % 2 + 1});"
        yield f"INSERT INTO visit (id, patient_id, doctor_id, visit_date, reason, weight_kg, note) VALUES ({k}, {k}, {(i + 1) % 2 + 1}, '2026-05-{i % 28 + 1:02}', 'Reason {i}', {50 + i / 10}, 'Note of {i}');"
        yield f"INSERT INTO diagnosis (visit_id, icd_id) VALUES ({k}, {i % 3 + 1});"
        yield f"INSERT INTO prescription (visit_id, drug, dose, days) VALUES ({k}, 'Drug {i}', '1-0-{i}', {i});"
        yield f"INSERT INTO lab_report (id, visit_id, taken_at) VALUES ({k}, {k}, '2026-05-01 08:{i % 60:02}');"
        yield f"INSERT INTO lab_result VALUES ({k}, 'HbA1c', {5 + i / 100}, '%');"
        yield f"INSERT INTO allergy (patient_id, substance) VALUES ({k}, 'Substance {i}');"
        yield f"INSERT INTO document (patient_id, title, content) VALUES ({k}, 'Letter {i}', X'{i:04x}ff00');"


def settled(w, a=range(1, 6), b=()):
    w.clinic("a", a)
    w.clinic("b", b)
    w.rounds(3)


def edit(w, site, i, tag):
    w.sql(site, f"""UPDATE patient SET phone = 'phone {tag}', address = 'address {tag}' WHERE national_id = '{nid(i)}';
        UPDATE visit SET note = 'note {tag}' WHERE patient_id = (SELECT id FROM patient WHERE national_id = '{nid(i)}');
        INSERT INTO allergy (patient_id, substance) SELECT id, 'allergy {tag}' FROM patient WHERE national_id = '{nid(i)}';""")


def large(w, site, i, byte):
    w.sql(site, "INSERT INTO document (patient_id, title, content) SELECT id, ?, ? FROM patient WHERE national_id = ?", f"Scan {byte}", bytes([byte]) * 40_000 + os.urandom(0), nid(i))


# Each scenario makes a world and gives the operation that is interrupted: (site, arguments).

def first_export(w):
    w.clinic("a", range(1, 6))
    w.clinic("b")
    return "a", ["sync"]


def first_export_large(w):
    w.clinic("a", range(1, 151))
    w.clinic("b")
    return "a", ["sync"]


def first_import(w):
    first_export(w)
    w.must("a", "sync")
    return "b", ["sync"]


def first_import_large(w):
    first_export_large(w)
    w.must("a", "sync")
    return "b", ["sync"]


def send(w):
    settled(w)
    for i in (1, 2, 3):
        edit(w, "a", i, f"a{i}")
    w.sql("a", f"INSERT INTO patient (national_id, last_name, first_name) VALUES ('{nid(50)}', 'New', 'Person')")
    return "a", ["sync"]


def receive(w):
    send(w)
    w.must("a", "sync")
    return "b", ["sync"]


def both_edited(w):
    settled(w)
    edit(w, "b", 1, "b1")
    edit(w, "b", 2, "b2")
    w.must("b", "sync")
    edit(w, "a", 1, "a1")
    edit(w, "a", 3, "a3")
    return "a", ["sync"]


def conflict_file(w):
    """Without logs: only the conflict file has the change."""
    settled(w)
    for site in "ab":
        with open(w.at(site, "cfs.toml"), encoding="utf-8") as f:
            text = "\n".join(line for line in f.read().split("\n") if not line.startswith("use_logs"))
        with open(w.at(site, "cfs.toml"), "w", encoding="utf-8") as f:
            f.write("use_logs = false\n" + text)
    path = w.file(w.record("a", nid(1)))
    with open(path, "rb") as f:
        before = f.read()
    edit(w, "b", 1, "b1")
    w.must("b", "sync")
    os.rename(path, path.replace(".xml", " (b's conflicted copy 2026-11-22).xml"))
    with open(path, "wb") as f:
        f.write(before)
    edit(w, "a", 2, "a2")
    return "a", ["sync"]


def delete(w):
    settled(w)
    key = w.see("a", f"SELECT id FROM patient WHERE national_id = '{nid(2)}'")[0][0]
    return "a", ["delete", f"patient:{key}", "--why", "entered twice"]


def receive_delete(w):
    site, args = delete(w)
    w.must(site, *args)
    edit(w, "b", 3, "b3")
    return "b", ["sync"]


def host_delete(w):
    settled(w)
    w.sql("a", f"DELETE FROM allergy WHERE substance = 'Substance 2'; DELETE FROM patient WHERE national_id = '{nid(4)}'")
    return "a", ["sync"]


def restore(w):
    settled(w)
    uuid = w.record("a", nid(2))
    w.must("a", "delete", uuid, "--why", "entered twice")
    w.rounds()
    return "a", ["trash", "restore", uuid]


def erase(w):
    settled(w)
    edit(w, "b", 2, "b2")
    large(w, "b", 2, 7)
    w.rounds()
    return "a", ["erase", w.record("a", nid(2)), "--yes", "--by", "Dr. Number 1"]


def receive_erase(w):
    site, args = erase(w)
    w.must(site, *args)
    return "b", ["sync"]


def day(w):
    """Retention is over for a deleted chart with a large value; the log can be compacted."""
    settled(w)
    large(w, "a", 2, 9)
    w.rounds()
    w.must("a", "delete", w.record("a", nid(2)), "--why", "left")
    for d in range(1, 6):
        w.days = d
        edit(w, "a", 1, f"day{d}")
        w.rounds(1, "ba" if d == 5 else "ab") if d < 5 else w.must("b", "sync")
    return "a", ["sync"]


def large_value(w):
    settled(w)
    large(w, "a", 1, 1)
    large(w, "a", 2, 2)
    w.sql("a", "UPDATE visit SET note = ? WHERE note = 'Note of 3'", "long text " * 3000)
    return "a", ["sync"]


def receive_large(w):
    large_value(w)
    w.must("a", "sync")
    return "b", ["sync"]


def join(w):
    w.clinic("a", range(1, 6))
    w.must("a", "sync")
    w.clinic("b", range(3, 9))
    edit(w, "b", 4, "b4")
    return "b", ["sync"]


def copied(w):
    """b is a copy of a's database on the same computer: it finds so out, and both have edits."""
    settled(w)
    shutil.copytree(w.at("a"), w.at("c"))
    text = open(w.at("c", "cfs.toml"), encoding="utf-8").read()
    open(w.at("c", "cfs.toml"), "w", encoding="utf-8").write(text.replace('site = "a"', 'site = "c"'))
    edit(w, "a", 1, "a1")
    w.must("a", "sync")
    edit(w, "c", 1, "c1")
    edit(w, "c", 2, "c2")
    return "c", ["sync"]


SCENARIOS = {f.__name__: f for f in (first_export, first_import, send, receive, both_edited, conflict_file, delete, receive_delete, host_delete, restore, erase, receive_erase, day, large_value, receive_large, join, copied, first_export_large, first_import_large)}
