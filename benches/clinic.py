"""What the measurements share: a clinic with about 20 child rows a patient, and a command with its time and memory."""
import os, pathlib, random, sqlite3, subprocess, sys, tempfile

SCHEMA = (pathlib.Path(__file__).parent.parent / 'fixtures/clinic/schema.sql').read_text()

def build(path, patients, wal=True):
    rnd = random.Random(7)
    db = sqlite3.connect(path)
    db.executescript(SCHEMA)
    if wal: db.execute('PRAGMA journal_mode=WAL')
    db.execute('BEGIN')
    words = 'fever cough malaria negative treated follow-up referred stable pain oral zinc Müller wound clean child mother'.split()
    text = lambda n: ' '.join(rnd.choice(words) for _ in range(n))
    for d in range(40): db.execute('INSERT INTO doctor (licence, name, phone) VALUES (?,?,?)', (f'L{d:04}', text(2), f'555 {d:04}'))
    for c in range(200): db.execute('INSERT INTO icd_code (code, title) VALUES (?,?)', (f'C{c:03}', text(3)))
    for p in range(1, patients + 1):
        db.execute('INSERT INTO patient (file_no, national_id, last_name, first_name, birth_date, sex, phone, address, gp_id) VALUES (?,?,?,?,?,?,?,?,?)',
                   (p, f'N{p:07}', text(1), text(1), f'19{p % 90 + 10}-0{p % 9 + 1}-11', 'fmx'[p % 3], f'555 {p:06}', text(4), p % 40 + 1))
        for v in range(4):
            vid = db.execute('INSERT INTO visit (patient_id, doctor_id, visit_date, reason, weight_kg, note) VALUES (?,?,?,?,?,?)',
                             (p, v % 40 + 1, f'2024-0{v + 1}-10', text(2), 60 + p % 400 / 10, text(12))).lastrowid
            db.execute('INSERT INTO diagnosis (visit_id, icd_id) VALUES (?,?)', (vid, (p + v) % 200 + 1))
            db.execute('INSERT INTO prescription (visit_id, drug, dose, days) VALUES (?,?,?,?)', (vid, text(1), '500 mg', v))
            rid = db.execute('INSERT INTO lab_report (visit_id, taken_at) VALUES (?,?)', (vid, f'2024-0{v + 1}-11')).lastrowid
            db.execute('INSERT INTO lab_result VALUES (?,?,?,?)', (rid, 'Hb', 12.5, 'g/dl'))
        db.execute('INSERT INTO allergy (patient_id, substance, severity) VALUES (?,?,?)', (p, text(1), 'mild'))
    db.execute('COMMIT'); db.execute('PRAGMA wal_checkpoint(TRUNCATE)'); db.close()

class Failed(Exception): pass

# Linux counts the parent's memory for a child: a small process stands between.
SMALL = '''
import os, sys, time
t = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], 'w').write(f'{time.monotonic() - t} {usage.ru_maxrss}')
sys.exit(os.waitstatus_to_exitcode(status) & 255)
'''

def measured(command, cwd, env=None, good=(0,)):
    """Seconds, peak memory in MB, and what the command printed."""
    with tempfile.NamedTemporaryFile('r') as told:
        p = subprocess.run([sys.executable, '-SIc', SMALL, told.name, *map(str, command)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or os.environ)
        if p.returncode not in good: raise Failed(f'{" ".join(map(str, command))} ended with {p.returncode}:\n{p.stderr.decode(errors="replace")[-2000:]}')
        seconds, kib = told.read().split()
    return float(seconds), float(kib) / 1024, p.stdout
