#!/usr/bin/env python3
"""What our triggers and tables cost the host: the same inserts and updates on the same database, without cfs, with it,
and with triggers that never do anything, in turn, and the ratios of the medians; and the size of our
tables. Run: benches/host_cost.py CFS DATABASE, with a database that `cfs init` takes without a flag. Works on copies."""
import os, shutil, sqlite3, statistics, subprocess, sys, tempfile, time

def main():
    cfs, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    with tempfile.TemporaryDirectory() as d:
        plain, ours, folder = f"{d}/plain.db", f"{d}/ours.db", f"{d}/folder"
        shutil.copy(source, plain); shutil.copy(source, ours); os.mkdir(folder)
        env = dict(os.environ, XDG_STATE_HOME=f"{d}/state")
        run = lambda *a: subprocess.run([cfs, "--config", f"{d}/cfs.toml", *a], env=env, check=True, stdout=subprocess.DEVNULL)
        run("init", "--database", ours, "--folder", folder, "--site", "Bench")
        before = os.path.getsize(ours)
        run("sync")
        c = sqlite3.connect(ours)
        own = c.execute("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'cfs%'").fetchone()[0] if has_dbstat(c) else os.path.getsize(ours) - before
        print(f"our tables: {own / 1e6:.1f} MB beside {os.path.getsize(plain) / 1e6:.1f} MB: {own / os.path.getsize(plain):.2f}")
        table, columns, number = largest(c)
        # The least that any trigger costs: SQLite looks at the old row and the new one before it asks whether to act.
        idle = f"{d}/idle.db"
        shutil.copy(source, idle)
        with sqlite3.connect(idle) as i:
            for n, what in (("i", "BEFORE INSERT"), ("j", "AFTER INSERT"), ("u", "AFTER UPDATE")):
                i.execute(f'CREATE TRIGGER idle_{n} {what} ON "{table}" WHEN 0 BEGIN SELECT 1; END')
        some = [(r[0], r[1]) for r in c.execute(f'SELECT "{number}", rowid FROM "{table}" LIMIT 20000')]
        work = {
            "20,000 inserts, one statement": lambda c: copies(c, table, columns, 20000),
            "20,000 updates, a statement each": lambda c: [c.execute(f'UPDATE "{table}" SET "{number}" = ? WHERE rowid = ?', v) for v in some],
            "20,000 updates, one statement": lambda c: c.execute(f'UPDATE "{table}" SET "{number}" = "{number}" WHERE rowid IN (SELECT rowid FROM "{table}" LIMIT 20000)'),
        }
        for name, do in work.items():
            times = {plain: [], ours: [], idle: []}
            for _ in range(9):
                for db in times:
                    c = sqlite3.connect(db, isolation_level=None)
                    start = time.perf_counter(); c.execute("BEGIN"); do(c); c.execute("COMMIT")
                    times[db].append(time.perf_counter() - start); c.close()
            a, b, z = (statistics.median(times[db]) for db in (plain, ours, idle))
            print(f"{name} in one transaction ({table}): without {a * 1e3:.0f} ms, with {b * 1e3:.0f} ms: {b / a:.2f}; with idle triggers {z / a:.2f}")

def has_dbstat(c):
    try: c.execute("SELECT 1 FROM dbstat LIMIT 1"); return True
    except sqlite3.Error: return False

def largest(c):
    names = [r[0] for r in c.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'cfs_insert_%'")]
    table = max(names, key=lambda n: c.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0])
    info = [r for r in c.execute(f'PRAGMA table_info("{table}")')]
    columns = [r[1] for r in info if not r[5]]
    return table, columns, columns[-1]

def copies(c, table, columns, n):
    names = ", ".join(f'"{x}"' for x in columns)
    c.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM "{table}" LIMIT {n}')

if __name__ == "__main__":
    main()
