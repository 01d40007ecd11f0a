"""What must hold: whole files, a sound database, and everything typed still there, once."""

import collections
import glob
import hashlib
import os
import re
import sqlite3
import xml.etree.ElementTree as ElementTree

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
CANONICAL = re.compile(rf"^(cloud-folder-sync\.xml|records/[^/]+/[0-9a-f]{{2}}/{UUID}\.xml|logs/{UUID}/\d{{8,}}\.xml|sites/{UUID}\.xml)$")
BLOB = re.compile(r"^blobs/[0-9a-f]{2}/([0-9a-f]{64})$")
NS = "{urn:cloud-folder-sync:1}"

TABLES = ["doctor", "icd_code", "patient", "visit", "diagnosis", "prescription", "lab_report", "lab_result", "allergy", "document", "appointment"]
# What each place numbers or writes for itself.
OWN = {"id", "file_no", "updated_at"}
POINTERS = {"gp_id": "doctor", "doctor_id": "doctor", "icd_id": "icd_code", "patient_id": "patient", "visit_id": "visit", "report_id": "lab_report"}


def files(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            yield os.path.relpath(path, folder), path


def whole(data):
    """Whether a file ends with the right hash of what is before it (FORMAT.md, 2)."""
    start = data.rfind(b" <sha256>")
    if start < 0:
        return False
    m = re.fullmatch(rb" <sha256>([0-9a-f]{64})</sha256>\n</[a-z-]+>\n", data[start:])
    return bool(m) and hashlib.sha256(data[:start]).hexdigest().encode() == m[1]


def torn(folder):
    """Files under a final name that are not whole, and log lines that name what is not there."""
    wrong, named, blobs = [], [], []
    have = set()
    for rel, path in files(folder):
        have.add(rel)
        with open(path, "rb") as f:
            data = f.read()
        blob = BLOB.match(rel)
        if blob and hashlib.sha256(data).hexdigest() != blob[1]:
            wrong.append(f"torn: {rel} ({len(data)} bytes)")
        if not CANONICAL.match(rel):
            continue
        if not whole(data):
            wrong.append(f"torn: {rel} ({len(data)} bytes)")
            continue
        root = ElementTree.fromstring(data)
        if rel.startswith("logs/"):
            named += [(rel, e.get("id")) for e in root.findall(NS + "named")]
        # A log may still tell of one that an erasure or the retention time took away.
        if rel.startswith("records/"):
            blobs += [(rel, e.get("sha256")) for e in root.iter() if e.get("sha256") and e.get("size")]
    ids = {os.path.basename(r)[:-4] for r in have if r.startswith("records/")}
    wrong += [f"{rel} names {i}, which is not there" for rel, i in named if i not in ids]
    wrong += [f"{rel} refers to a large value that is not there" for rel, h in blobs if f"blobs/{h[:2]}/{h}" not in have]
    return wrong


def sound(database):
    """What SQLite finds wrong with a database."""
    conn = sqlite3.connect(database)
    try:
        wrong = [f"integrity_check: {r[0]}" for r in conn.execute("PRAGMA integrity_check") if r[0] != "ok"]
        return wrong + [f"foreign_key_check: {r}" for r in conn.execute("PRAGMA foreign_key_check")]
    except sqlite3.Error as e:
        return [f"the database cannot be read: {e}"]
    finally:
        conn.close()


def content(database):
    """All rows, each with what it belongs to by content; no key of this place is in it."""
    conn = sqlite3.connect(database)
    rows, keyed = {}, {}
    for t in TABLES:
        cur = conn.execute(f"SELECT * FROM {t}")
        names = [d[0] for d in cur.description]
        rows[t] = [dict(zip(names, r)) for r in cur]
        keyed[t] = {r["id"]: r for r in rows[t] if "id" in r}
    conn.close()

    def shown(t, r):
        return (t, *((n, shown(POINTERS[n], keyed[POINTERS[n]][v]) if n in POINTERS and v is not None else v) for n, v in sorted(r.items()) if n not in OWN))

    return collections.Counter(shown(t, r) for t in TABLES for r in rows[t])


def charts(folder):
    """Every value in the record files, current and superseded, and every tombstone, without identities."""
    out = collections.Counter()
    for path in glob.glob(os.path.join(folder, "records", "*", "*", "*.xml")):
        if not re.fullmatch(rf"{UUID}\.xml", os.path.basename(path)):
            out[("left over", re.sub(UUID, "", os.path.basename(path)))] += 1
            continue
        root = ElementTree.parse(path).getroot()
        out[("record", root.get("type"), root.find(NS + "erased") is not None)] += 1
        for row in root.findall(NS + "row"):
            gone = row.find(NS + "deleted")
            if gone is not None:
                out[("deleted", row.get("table"), gone.get("bare"), gone.get("moved-row") is not None)] += 1
            for f in row:
                if f.tag not in (NS + "f", NS + "was") or f.get("n") in OWN:
                    continue
                text = (f.get("table") if f.get("type") == "ref" else f.get("sha256") or f.text)
                out[(f.tag[len(NS):], row.get("table"), f.get("n"), f.get("type"), text)] += 1
    return out


def outcome(world, sites):
    """What people and programs see when all is done."""
    out = {s: content(world.at(s, "clinic.db")) for s in sites}
    out["folder"] = charts(world.at("folder"))
    out["blobs"] = collections.Counter(os.path.basename(p) for p, _ in files(world.at("folder")) if BLOB.match(p))
    out["parts"] = collections.Counter()
    return out


def differ(want, got):
    """The first differences of two outcomes, in words."""
    wrong = []
    for k in want:
        for what, d in (("missing", want[k] - got[k]), ("too much", got[k] - want[k])):
            wrong += [f"{k}: {what} {n}x {str(row)[:200]}" for row, n in list(d.items())[:3]]
    return wrong
