#!/usr/bin/env python3
"""The same shape of work with cfs and with its peers, beside each other (Python 3.9+, no packages).

  cargo build --release && python3 benches/peers/run.py [--patients 10000] [--only cfs,unison] [--dir DIR]

N patients with 20 rows each at place A; send them, receive them at place B; nothing to do; ten patients changed at A, sent and
received; ten patients of which each place changes another field. Prints a table in Markdown. A peer that is not installed is
left out, and said so:

  Unison, rclone      apt install unison rclone     the XML files that cfs wrote, as files: no database at either end
  Joplin              npm install joplin            a note for each patient, a line for each field; its file system target
  bothy, TaskChampion built here with cargo         a document, a task for each patient, with the rows nested

What each peer does and does not do is said in its row. Times are wall clock of one command, medians of five where
nothing is to do and of three for ten changes. Each command is a process that starts, works and ends, as `cfs sync` is.
"""
import argparse, json, os, pathlib, re, shutil, sqlite3, statistics, subprocess, sys, tempfile, uuid
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from clinic import SCHEMA, build, measured

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument('--patients', type=int, default=10000)
ap.add_argument('--only', default='cfs,bothy,taskchampion,unison,rclone,joplin')
ap.add_argument('--cfs', default=str(HERE.parent.parent / 'target/release/cfs'))
ap.add_argument('--joplin', default=shutil.which('joplin'), help='the program, where it is not on the path')
ap.add_argument('--target', default=str(HERE.parent.parent / 'target/peers'), help='where the Rust peers are built')
ap.add_argument('--dir')
a = ap.parse_args()
CHANGED, RIVALS = range(10, 20), range(30, 40)

def told_version(*command):
    """The version that a program tells."""
    try: told = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    except OSError: return None
    found = re.search(r'\d+\.[\d.]*\d', told)
    return found and found[0]

class Peer:
    """One of them, in a directory of its own. `both`: each place synchronizes by itself; else one command serves both."""
    both, memory = True, 0
    def __init__(self, d): self.d = d
    def run(self, *command, env=None, good=(0,)):
        seconds, memory, told = measured(command, cwd=self.d, env=env, good=good)
        self.memory = max(self.memory, memory)
        return seconds, told
    def first(self, place): return self.sync(place)

class Cfs(Peer):
    name, durable = 'cfs', 'each file synced to disk before it is told'
    how = 'rows of a database, merged field by field; conflict files imported'
    @staticmethod
    def version(): return told_version(a.cfs, '--version')
    def cfs(self, place, *args): return self.run(a.cfs, '--config', f'{place}.toml', *args, env=dict(os.environ, XDG_STATE_HOME=f'{self.d}/state'))
    def prepare(self):
        shutil.copy(f'{WORK}/clinic.db', f'{self.d}/A.db')
        sqlite3.connect(f'{self.d}/B.db').executescript(SCHEMA + 'PRAGMA journal_mode=WAL;')
        os.mkdir(f'{self.d}/folder')
    def first(self, place):
        self.cfs(place, 'init', '--database', f'{place}.db', '--folder', 'folder', '--site', place)
        self.memory = 0 if place == 'A' else self.memory
        return self.sync(place)
    def sync(self, place): return self.cfs(place, 'sync')[0]
    def change(self, place, changes):
        with sqlite3.connect(f'{self.d}/{place}.db', timeout=30) as c:
            for p, field, value in changes: assert c.execute(f'UPDATE patient SET {field} = ? WHERE national_id = ?', (value, f'N{p:07}')).rowcount == 1
    def value(self, place, p, field): return sqlite3.connect(f'{self.d}/{place}.db').execute(f'SELECT {field} FROM patient WHERE national_id = ?', (f'N{p:07}',)).fetchone()[0]

class Library(Peer):
    def binary(self): return f'{a.target}/release/peer-{self.short}'
    @classmethod
    def version(cls):
        built = subprocess.run(['cargo', 'build', '--release', '--quiet', '--manifest-path', HERE / cls.short / 'Cargo.toml', '--target-dir', a.target])
        return None if built.returncode else re.search(cls.short + r'[^\n]*"=([0-9.]+)"', (HERE / cls.short / 'Cargo.toml').read_text())[1]
    def step(self, *args): return self.run(self.binary(), '.', *args)
    def prepare(self):
        with open(f'{self.d}/all', 'w') as f: f.writelines(json.dumps(p) + '\n' for p in charts())
        self.put = self.step('put', 'A', 'all')[0]
    def first(self, place):
        seconds = self.sync(place)
        assert int(self.step('count', place)[1]) == a.patients
        return seconds
    def sync(self, place): return self.step('sync', place)[0]
    def change(self, place, changes):
        with open(f'{self.d}/some', 'w') as f: f.writelines(json.dumps({'id': ident(p), field: value}) + '\n' for p, field, value in changes)
        self.step('change', place, 'some')
    def value(self, place, p, field): return json.loads(self.step('get', place, ident(p))[1]).get(field)

class Bothy(Library):
    name, short, durable = 'bothy', 'bothy', 'its database; an fsync for each segment'
    how = 'documents of a library; no other schema, no conflict files'
class TaskChampion(Library):
    name, short, durable = 'TaskChampion', 'taskchampion', 'databases at both ends'
    how = 'properties of tasks of a library; its local server is a database, not a folder'

class Files(Peer):
    """Programs that carry files: the folder that cfs wrote, at two places."""
    durable, both = 'left to the system', False
    def prepare(self): shutil.copytree(f'{WORK}/cfs/first/records/patient', f'{self.d}/A'); os.mkdir(f'{self.d}/B')
    def change(self, place, changes):
        for p, field, value in changes:
            path = f'{self.d}/{place}/{files()[p]}'
            with open(path) as f: text = f.read()
            new, n = re.subn(f'(<row table="patient".*?<f n="{field}">)[^<]*', lambda m: m[1] + value, text, count=1, flags=re.S)
            assert n == 1
            with open(path, 'w') as f: f.write(new)
    def value(self, place, p, field):
        with open(f'{self.d}/{place}/{files()[p]}') as f: return re.search(f'<row table="patient".*?<f n="{field}">([^<]*)', f.read(), re.S)[1]

class Unison(Files):
    name, how = 'Unison', 'files only; both changed: skipped until a person decides'
    @staticmethod
    def version(): return told_version('unison', '-version')
    def sync(self, _): return self.run('unison', f'{self.d}/A', f'{self.d}/B', '-batch', '-auto', '-ui', 'text', '-silent', env=dict(os.environ, UNISON=f'{self.d}/archive'), good=(0, 1))[0]

class Rclone(Files):
    name, how = 'rclone bisync', 'files only; both changed: two copies under other names'
    @staticmethod
    def version(): return told_version('rclone', 'version')
    def first(self, _): return self.bisync('--resync')
    def sync(self, _): return self.bisync()
    def bisync(self, *more): return self.run('rclone', 'bisync', f'{self.d}/A', f'{self.d}/B', '--workdir', f'{self.d}/work', '--config', '/dev/null', *more)[0]

class Joplin(Peer):
    name, durable = 'Joplin', 'left to the system'
    how = 'whole notes; both changed: one stays, the other goes to a notebook of conflicts'
    @staticmethod
    def version(): return a.joplin and told_version(a.joplin, 'version')
    def joplin(self, place, *args): return self.run(a.joplin, '--profile', f'{self.d}/{place}', *args)
    def prepare(self):
        os.mkdir(f'{self.d}/notes'); os.mkdir(f'{self.d}/shared')
        for p in charts():
            with open(f'{self.d}/notes/{p["id"]}.md', 'w') as f: f.write(lines(p))
        for place in 'AB':
            for name, value in (('sync.target', '2'), ('sync.2.path', f'{self.d}/shared')): self.joplin(place, 'config', name, value)
        self.put = self.joplin('A', 'import', '--format', 'md', f'{self.d}/notes')[0]
    def sync(self, place): return self.joplin(place, 'sync')[0]
    def body(self, place, p):
        with sqlite3.connect(f'file:{self.d}/{place}/database.sqlite?mode=ro', uri=True) as c:
            return c.execute('SELECT id, body FROM notes WHERE title = ? AND is_conflict = 0', (ident(p),)).fetchone()
    def change(self, place, changes):
        for p, field, value in changes:
            note, body = self.body(place, p)
            new, n = re.subn(f'(?m)^{field}: .*$', f'{field}: {value}', body, count=1)
            assert n == 1
            self.joplin(place, 'set', note, 'body', new)
    def value(self, place, p, field): return re.search(f'(?m)^{field}: (.*)$', self.body(place, p)[1])[1]

def ident(p): return str(uuid.uuid5(uuid.NAMESPACE_OID, f'N{p:07}'))

def charts():
    """Each patient as one document: its own columns, and its rows nested."""
    c = sqlite3.connect(f'{WORK}/clinic.db'); c.row_factory = sqlite3.Row
    rows = lambda sql, key: [dict(r) for r in c.execute(sql, (key,))]
    for p in c.execute('SELECT * FROM patient'):
        doc = dict(p, id=ident(p['file_no']), visits=[], allergies=rows('SELECT substance, severity FROM allergy WHERE patient_id = ?', p['id']))
        for v in rows('SELECT * FROM visit WHERE patient_id = ?', p['id']):
            v['diagnoses'] = rows('SELECT icd_id FROM diagnosis WHERE visit_id = ?', v['id'])
            v['prescriptions'] = rows('SELECT drug, dose, days FROM prescription WHERE visit_id = ?', v['id'])
            v['reports'] = rows('SELECT lab_report.taken_at, r.* FROM lab_report JOIN lab_result r ON r.report_id = lab_report.id WHERE visit_id = ?', v['id'])
            doc['visits'].append(v)
        yield doc

def lines(value, at=''):
    if isinstance(value, dict): return ''.join(lines(v, f'{at}.{k}'.lstrip('.')) for k, v in value.items())
    if isinstance(value, list): return ''.join(lines(v, f'{at}.{i}') for i, v in enumerate(value))
    return f'{at}: {value}\n'

_files = {}
def files():
    """Which file of the folder is which patient's."""
    if not _files:
        for path in pathlib.Path(f'{WORK}/cfs/first/records/patient').glob('*/*.xml'):
            _files[int(re.search(r'<f n="national_id">N(\d+)', path.read_text())[1])] = f'{path.parent.name}/{path.name}'
    return _files

def go(kind):
    d = f'{WORK}/{kind.__name__.lower()}'
    os.mkdir(d)
    peer = kind(d)
    peer.prepare()
    os.sync()
    row = {'send': peer.first('A')}
    if kind is Cfs: shutil.copytree(f'{d}/folder', f'{d}/first')
    row['receive'] = peer.first('B') if peer.both else None
    peer.sync('A')
    row['nothing'] = statistics.median(peer.sync('B') for _ in range(5))
    sends, receives = [], []
    for turn in range(3):
        peer.change('A', [(p, 'phone', f'556 {turn}{p:04}') for p in CHANGED])
        sends.append(peer.sync('A'))
        if peer.both: receives.append(peer.sync('B'))
    assert all(peer.value('B', p, 'phone') == f'556 2{p:04}' for p in CHANGED), 'what A changed is not at B'
    row['sent'], row['received'] = statistics.median(sends), statistics.median(receives) if receives else None
    peer.change('A', [(p, 'phone', f'557 {p:04}') for p in RIVALS])
    peer.change('B', [(p, 'address', f'Road {p}') for p in RIVALS])
    for place in 'ABAB': peer.sync(place)
    def there(p):
        try: return all(peer.value(place, p, 'phone') == f'557 {p:04}' and peer.value(place, p, 'address') == f'Road {p}' for place in 'AB')
        except (OSError, TypeError): return False
    row['lost'] = sum(not there(p) for p in RIVALS)
    row.update(peer=peer, memory=peer.memory, put=getattr(peer, 'put', None))
    return row

KINDS = {'cfs': Cfs, 'bothy': Bothy, 'taskchampion': TaskChampion, 'unison': Unison, 'rclone': Rclone, 'joplin': Joplin}
def seconds(s): return '–' if s is None else f'{s:.1f} s' if s >= 10 else f'{s:.2f} s' if s >= 0.3 else f'{s * 1e3:.0f} ms'

WORK = tempfile.mkdtemp(dir=a.dir, prefix='cfs-peers-')
try:
    build(f'{WORK}/clinic.db', a.patients)
    # The folder that cfs writes is what the programs for files carry: it is always the first.
    wanted = ['cfs'] + [k for k in a.only.split(',') if k != 'cfs']
    print(f'{a.patients} patients\n\n| | first send | first receive | nothing to do | ten changed: send / receive | memory | of ten charts that both changed, in other fields, not whole at both | how it stores | what it does |\n|---|---|---|---|---|---|---|---|---|')
    for k in wanted:
        version = KINDS[k].version()
        if not version:
            print(f'{k}: not installed, left out', file=sys.stderr)
            continue
        r = go(KINDS[k])
        put = f' (+{seconds(r["put"])} its own writing first)' if r['put'] else ''
        print(f'| {KINDS[k].name} {version} | {seconds(r["send"])}{put} | {seconds(r["receive"])} | {seconds(r["nothing"])} | {seconds(r["sent"])} / {seconds(r["received"])} | {r["memory"]:.0f} MB | {r["lost"]} | {r["peer"].durable} | {r["peer"].how} |', flush=True)
finally:
    shutil.rmtree(WORK, ignore_errors=True)
