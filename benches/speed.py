#!/usr/bin/env python3
"""What a synchronization costs, against the physical work in the same run (Python 3.9+, no packages).

  cargo build --release && python3 benches/speed.py [--patients 10000] [--dir DIR]

Builds a clinic of the project's own schema (fixtures/clinic) with about 20 child rows a patient, and
prints a table in Markdown: first export against `cp -r` of the folder it made, first import against
plain inserts of the same rows with the same indexes and triggers, a sync with nothing to do at 1,000
and at all patients, ten changed patients at each side, peak memory, and how long a second process
that writes all the time waits while the first import runs. Times are wall clock; compare ratios.
"""
import argparse, json, os, pathlib, resource, shutil, sqlite3, statistics, subprocess, sys, tempfile, threading, time

from clinic import SCHEMA, Failed, build, measured

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument('--patients', type=int, default=10000)
ap.add_argument('--cfs', default=str(pathlib.Path(__file__).parent.parent / 'target/release/cfs'))
ap.add_argument('--dir')
a = ap.parse_args()

def run(*args, cwd):
    try: return measured([a.cfs, *args], cwd=cwd, env=dict(os.environ, XDG_STATE_HOME=os.path.join(cwd, 'state')))
    except Failed as e: sys.exit(str(e))

def world(n):
    d = tempfile.mkdtemp(dir=a.dir, prefix=f'cfs-bench-{n}-')
    for s in ('north', 'south'): os.mkdir(f'{d}/{s}')
    os.mkdir(f'{d}/folder'); build(f'{d}/north/clinic.db', n)
    sqlite3.connect(f'{d}/south/clinic.db').executescript(SCHEMA + 'PRAGMA journal_mode=WAL;')
    run('init', '--database', 'north/clinic.db', '--folder', 'folder', '--site', 'North', cwd=d)
    return d
sync = lambda d, s, *more: run('--config', f'{s}/cfs.toml', 'sync', '--json', *more, cwd=d)

def plain_inserts(d):
    src = sqlite3.connect(f'{d}/north/clinic.db'); path = f'{d}/plain.db'
    db = sqlite3.connect(path); db.executescript(SCHEMA + 'PRAGMA journal_mode=WAL;')
    tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")]
    rows = {t: src.execute(f'SELECT * FROM {t}').fetchall() for t in tables if t not in ('settings', 'audit_log', 'counter')}
    t0 = time.monotonic()
    db.execute('BEGIN')
    for t, r in rows.items():
        if r: db.executemany(f'INSERT INTO {t} VALUES ({",".join("?" * len(r[0]))})', r)
    db.execute('COMMIT'); db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    return time.monotonic() - t0, sum(map(len, rows.values()))

def host_writer(path, stop, waits):
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    while not stop.is_set():
        t = time.monotonic()
        db.execute('BEGIN IMMEDIATE'); waits.append(time.monotonic() - t)
        db.execute("INSERT OR REPLACE INTO settings VALUES ('tick', ?)", (len(waits),)); db.execute('COMMIT')
        time.sleep(0.02)

n = a.patients
big = world(n)
os.sync()
export, mem_e, _ = sync(big, 'north')
t = time.monotonic(); shutil.copytree(f'{big}/folder', f'{big}/copy'); 
t = time.monotonic(); subprocess.check_call(['cp', '-r', f'{big}/folder', f'{big}/copy2']); cp = time.monotonic() - t
run('init', '--database', 'south/clinic.db', '--folder', 'folder', '--site', 'South', cwd=big)
shutil.copytree(f'{big}/south', f'{big}/busy'); 
import_, mem_i, _ = sync(big, 'south')
plain, rows = plain_inserts(big)
# settle: directories' times must be two seconds old to be trusted
sync(big, 'north'); time.sleep(2.5)
for s in ('north', 'south'): sync(big, s); sync(big, s)
idle = statistics.median(sync(big, 'south')[0] for _ in range(9))
small = world(1000); sync(small, 'north')
run('init', '--database', 'south/clinic.db', '--folder', 'folder', '--site', 'South', cwd=small)
sync(small, 'south'); sync(small, 'north'); time.sleep(2.5)
for s in ('north', 'south'): sync(small, s); sync(small, s)
idle_small = statistics.median(sync(small, 'south')[0] for _ in range(9))
db = sqlite3.connect(f'{big}/north/clinic.db')
for p in range(10): db.execute('UPDATE patient SET phone = ? WHERE id = ?', (f'555 9{p}', p * (n // 10) + 1))
db.commit(); db.close()
send, _, sent = sync(big, 'north'); take, _, took = sync(big, 'south')
sent, took = json.loads(sent), json.loads(took)
size = lambda f: os.path.getsize(f)
state = size(f'{big}/north/clinic.db') / max(1, size(f'{big}/plain.db'))
# every file looked at, and everything read
best = lambda f, k=3: min(f() for _ in range(k))
def shell(command):
    t = time.monotonic(); subprocess.check_call(command, shell=True, cwd=big, stdout=subprocess.DEVNULL); return time.monotonic() - t
full, mem_f = min(sync(big, 'south', '--full')[:2] for _ in range(3))
find = best(lambda: shell("find folder/records -type f -printf '%s %T@\\n'"))
verify, mem_v, _ = run('--config', 'south/cfs.toml', 'verify', '--json', cwd=big)
hashed = shell('find folder/records -type f -print0 | xargs -0 sha256sum')
# a client that kept both sides: the state before an edit stands beside the state after it
copies = []
for d, _, files in os.walk(f'{big}/folder/records/patient'):
    copies += [(f'{d}/{f}', f'{d}/{f[:-4]} (conflicted copy 2026-01-0{1 + len(files) % 9}).xml') for f in files if f.endswith('.xml')]
copies = copies[:10000]
for i, (own, copy) in enumerate(copies): shutil.copyfile(own, f'{big}/old{i}')
db = sqlite3.connect(f'{big}/north/clinic.db'); db.execute("UPDATE patient SET address = address || ' 2'"); db.commit(); db.close()
sync(big, 'north')
for i, (own, copy) in enumerate(copies): os.rename(f'{big}/old{i}', copy)
conflict, mem_c, told = sync(big, 'north'); conflicts = json.loads(told)['conflict_files']['merged']
sync(big, 'south')
# the host writes while a first import runs
busy = f'{big}/busy'
text = open(f'{busy}/cfs.toml').read(); open(f'{busy}/cfs.toml', 'w').write(text)
stop, waits = threading.Event(), []
os.remove(f'{busy}/clinic.db'); [os.remove(f'{busy}/{x}') for x in os.listdir(busy) if x.startswith('clinic.db')]
sqlite3.connect(f'{busy}/clinic.db').executescript(SCHEMA + 'PRAGMA journal_mode=WAL;'); os.remove(f'{busy}/cfs.toml')
run('init', '--database', 'busy/clinic.db', '--folder', 'folder', '--site', 'Busy', cwd=big)
th = threading.Thread(target=host_writer, args=(f'{busy}/clinic.db', stop, waits)); th.start()
sync(big, 'busy'); stop.set(); th.join(); waits.sort()
p99 = waits[int(len(waits) * .99)] if waits else 0

print(f'{n} patients, {rows} rows, {sum(len(f) for _, _, f in os.walk(big + "/folder"))} files in the folder\n')
print('| work | cfs | yardstick in the same run | ratio | bound |\n|---|---|---|---|---|')
print(f'| first export | {export:.2f} s | `cp -r` of the folder {cp:.2f} s | {export / cp:.1f} | ≤ 3 |')
print(f'| first import | {import_:.2f} s | plain inserts of the same rows {plain:.2f} s | {import_ / plain:.1f} | ≤ 3 |')
print(f'| nothing to do, {n} patients | {idle * 1000:.0f} ms | 1,000 patients {idle_small * 1000:.0f} ms | {idle / idle_small:.2f} | ≤ 50 ms, ≤ 1.5 |')
print(f'| 10 patients changed, send | {send * 1000:.0f} ms | wrote {sent["files_written"]} files | | ≤ 100 ms |')
print(f'| 10 patients changed, receive | {take * 1000:.0f} ms | read {took["files_read"]} files | | ≤ 100 ms |')
print(f'| nothing to do, `--full` | {full:.2f} s | `find -printf` of size and time {find:.2f} s | {full / find:.1f} | ≤ 1.5 |')
print(f'| `cfs verify` | {verify:.1f} s | `sha256sum` of all files {hashed:.1f} s | {verify / hashed:.1f} | ≤ 1.5 |')
print(f'| {conflicts} conflict files at once | {conflict:.1f} s | | {conflicts / conflict:.0f} a second | ≥ 1,000 |')
print(f'| peak memory, `--full` / `verify` / conflict files | {mem_f:.0f} / {mem_v:.0f} / {mem_c:.0f} MB | | | ≤ 64 MB |')
print(f'| peak memory, export / import | {mem_e:.0f} / {mem_i:.0f} MB | | | ≤ 64 MB |')
print(f'| host waits for us while a first import runs | {p99 * 1000:.0f} ms at p99, {max(waits) * 1000:.0f} ms at most ({len(waits)} writes) | | | ≤ 50 ms at p99 |')
print(f'| database with our tables | {state:.2f} × the same rows alone | | | |')
shutil.rmtree(big); shutil.rmtree(small)
