"""The clients that mirror the folder: Syncthing, Unison and rclone bisync, as they are, with ways to stop them."""

import copy
import glob
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

# What the clients keep for themselves in the folder, and what is on its way.
THEIRS = re.compile(r"^(\.stfolder.*|\.stversions|\.stignore|\.syncthing\..*|\.unison\..*|.*\.unison\.tmp|.*\.partial|~\$.*\.part)$")
COPY = re.compile(r"\.sync-conflict-|\(conflict_on_|\.\.path\d|\.path\d+$|\.conflict\d")


def walk(folder):
    """Path and file of all that is in a replica and is not the client's own."""
    for base, dirs, names in os.walk(folder):
        dirs[:] = [d for d in dirs if not THEIRS.match(d)]
        for n in names:
            if not THEIRS.match(n):
                yield os.path.relpath(os.path.join(base, n), folder), os.path.join(base, n)


def tree(folder):
    """Every file with the hash of its bytes."""
    out = {}
    for rel, path in walk(folder):
        try:
            with open(path, "rb") as f:
                out[rel] = hashlib.sha256(f.read()).hexdigest()
        except FileNotFoundError:
            pass
    return out


def copies(folder):
    """The conflict copies that are there now."""
    return {rel for rel, _ in walk(folder) if COPY.search(os.path.basename(rel))}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Client:
    """A client between replicas. `outage` says how it was interrupted, for the summary."""

    OUTAGES = ()

    def __init__(self, top, replicas, seed):
        self.top, self.replicas, self.random = top, replicas, random.Random(f"{seed} client")
        self.log = open(os.path.join(top, "client.log"), "ab")
        self.trouble, self.deleted = {}, set()

    def note(self, what):
        self.trouble[what] = self.trouble.get(what, 0) + 1

    def settle(self, seconds=120):
        """Lets the client run until all replicas hold the same. Gives whether they came to."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.push()
            trees = [tree(r) for r in self.replicas]
            if all(t == trees[0] for t in trees) and self.idle():
                return True
            time.sleep(0.3)
        return False

    def idle(self):
        return True

    def report(self):
        """What the client did that is worth a line, with how often."""
        return self.trouble


class Syncthing(Client):
    """Daemons on loopback: no discovery, no relays, nothing reported, no upgrade."""

    OUTAGES = ("term", "kill", "pause", "freeze")

    @staticmethod
    def why_not():
        return None if shutil.which("syncthing") else "syncthing is not installed"

    @staticmethod
    def version():
        return subprocess.run(["syncthing", "--version"], capture_output=True, text=True).stdout.split(" ")[1]

    def __init__(self, top, replicas, seed):
        super().__init__(top, replicas, seed)
        self.homes, self.daemons, self.gates, self.ids = [], [None] * len(replicas), [], []
        ports = []
        for i in range(len(replicas)):
            home = os.path.join(top, f"syncthing-{i}")
            os.makedirs(os.path.join(replicas[i], ".stfolder"))
            subprocess.run(["syncthing", "generate", f"--home={home}", "--no-default-folder", "--skip-port-probing"], check=True, stdout=self.log, stderr=self.log, env=self.env(home))
            self.homes.append(home)
            self.gates.append(free_port())
            ports.append(free_port())
            self.ids.append(ElementTree.parse(os.path.join(home, "config.xml")).getroot().find("device").get("id"))
        for i, home in enumerate(self.homes):
            self.configure(i, home, ports)
        self.up()

    @staticmethod
    def env(home):
        return dict(os.environ, HOME=home, STNOUPGRADE="1", STNODEFAULTFOLDER="1", GOMAXPROCS="1")

    def configure(self, i, home, ports):
        path = os.path.join(home, "config.xml")
        doc = ElementTree.parse(path)
        root = doc.getroot()
        for old in root.findall("device") + root.findall("folder"):
            root.remove(old)
        # A folder as Syncthing itself makes one (without this there would be no conflict copies at all).
        folder = copy.deepcopy(root.find("defaults").find("folder"))
        for old in folder.findall("device"):
            folder.remove(old)
        folder.attrib.update({"id": "clinic", "label": "clinic", "path": self.replicas[i], "type": "sendreceive", "rescanIntervalS": "5", "fsWatcherEnabled": "true", "fsWatcherDelayS": "1"})
        root.append(folder)
        for j, other in enumerate(self.ids):
            ElementTree.SubElement(folder, "device", {"id": other})
            device = ElementTree.SubElement(root, "device", {"id": other, "name": f"site{j}", "compression": "never"})
            ElementTree.SubElement(device, "address").text = f"tcp://127.0.0.1:{ports[j]}"
        gui = root.find("gui")
        gui.find("address").text = f"127.0.0.1:{self.gates[i]}"
        gui.find("apikey").text = "clients"
        options = root.find("options")
        wanted = {"listenAddress": f"tcp://127.0.0.1:{ports[i]}", "globalAnnounceEnabled": "false", "localAnnounceEnabled": "false", "relaysEnabled": "false", "natEnabled": "false", "urAccepted": "-1", "crashReportingEnabled": "false", "autoUpgradeIntervalH": "0", "startBrowser": "false", "reconnectionIntervalS": "1", "stunKeepaliveStartS": "0", "announceLANAddresses": "false"}
        for name, value in wanted.items():
            for old in options.findall(name):
                options.remove(old)
            ElementTree.SubElement(options, name).text = value
        doc.write(path)

    def api(self, i, path, post=False, timeout=10):
        request = urllib.request.Request(f"http://127.0.0.1:{self.gates[i]}/rest/{path}", headers={"X-API-Key": "clients"}, method="POST" if post else "GET")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read() or b"null")

    def begin(self, i):
        home = self.homes[i]
        self.daemons[i] = subprocess.Popen(["syncthing", "serve", f"--home={home}", "--no-browser", "--no-restart", "--no-upgrade"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.env(home), start_new_session=True)

    def up(self):
        for i, d in enumerate(self.daemons):
            if d is None or d.poll() is not None:
                self.begin(i)
        end = time.monotonic() + 60
        for i in range(len(self.daemons)):
            while True:
                try:
                    self.api(i, "system/ping")
                    break
                except (OSError, urllib.error.URLError):
                    if time.monotonic() > end:
                        raise RuntimeError("syncthing does not answer: see client.log")
                    time.sleep(0.1)
                    if self.daemons[i].poll() is not None:
                        # The one that was killed had not let go of its database yet.
                        self.begin(i)

    def signal(self, i, sig):
        d = self.daemons[i]
        if d is not None and d.poll() is None:
            # Its own session: the daemon and the monitor above it.
            os.killpg(d.pid, sig)
            if sig in (signal.SIGTERM, signal.SIGKILL):
                try:
                    d.wait(30)
                except subprocess.TimeoutExpired:
                    self.note("did not end within 30 s of SIGTERM")
                    os.killpg(d.pid, signal.SIGKILL)
                    d.wait()
                self.daemons[i] = None

    def down(self, how, work):
        """Interrupts the transport while `work` runs."""
        n = range(len(self.daemons))
        hit = list(n) if self.random.random() < 0.6 else [self.random.choice(list(n))]
        if how in ("term", "kill"):
            for i in hit:
                self.signal(i, signal.SIGTERM if how == "term" else signal.SIGKILL)
            work()
        elif how == "freeze":
            for i in hit:
                self.signal(i, signal.SIGSTOP)
            work()
            for i in hit:
                self.signal(i, signal.SIGCONT)
        else:
            for i in hit:
                self.tell(i, "system/pause")
            work()
            for i in hit:
                self.tell(i, "system/resume")
        self.up()

    def tell(self, i, what):
        try:
            self.api(i, what, post=True)
        except (OSError, urllib.error.URLError):
            self.up()
            self.api(i, what, post=True, timeout=60)

    def push(self):
        self.up()
        for i in range(len(self.daemons)):
            try:
                self.api(i, "db/scan?folder=clinic", post=True, timeout=60)
            except (OSError, urllib.error.URLError):
                self.note("a scan was refused")

    def idle(self):
        try:
            for i in range(len(self.daemons)):
                state = self.api(i, "db/status?folder=clinic")
                if state["state"] != "idle" or state["needTotalItems"]:
                    return False
                for j, other in enumerate(self.ids):
                    if j != i and self.api(i, f"db/completion?folder=clinic&device={other}")["needItems"]:
                        return False
            return True
        except (OSError, urllib.error.URLError):
            return False

    def report(self):
        with open(os.path.join(self.top, "client.log"), encoding="utf-8", errors="replace") as f:
            text = f.read()
        # Two places that meet one winner in the same second give their copies one name; the second is thrown away.
        counts = {"copies thrown away by it": text.count("already a conflict copy"), "files put off as just changed": text.count("file modified but not rescanned")}
        return {**self.trouble, **{k: n for k, n in counts.items() if n}}

    def close(self):
        for i in range(len(self.daemons)):
            self.signal(i, signal.SIGCONT)
            self.signal(i, signal.SIGKILL)


class Repeated(Client):
    """A client that is run again and again between two replicas, as by a timer."""

    OUTAGES = ("pause", "term", "kill")

    def __init__(self, top, replicas, seed):
        super().__init__(top, replicas, seed)
        self.turn, self.open, self.over, self.runs = threading.Lock(), threading.Event(), threading.Event(), 0
        self.hit = None
        self.first()
        self.open.set()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def pairs(self):
        return [(0, j) for j in range(1, len(self.replicas))]

    def first(self):
        pass

    def loop(self):
        while not self.over.is_set():
            if not self.open.wait(0.2):
                continue
            with self.turn:
                self.round()
            self.over.wait(self.random.uniform(0.2, 2.0))

    def round(self):
        for a, b in self.pairs():
            self.one(self.replicas[a], self.replicas[b])

    def run(self, command, env):
        """One run; interrupted if somebody asked for it. Gives exit code and what was printed."""
        hit, self.hit = self.hit, None
        self.runs += 1
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, start_new_session=True)
        if hit:
            how, after, done = hit
            timer = threading.Timer(after, lambda: p.poll() is None and os.killpg(p.pid, how))
            timer.start()
        out = p.communicate()[0].decode(errors="replace")
        if hit:
            timer.cancel()
            if p.returncode in (-how, 128 + how) or p.returncode and how == signal.SIGTERM:
                self.note(f"runs ended by {how.name}")
            done.set()
        self.log.write(f"\n== {command[0]}: exit code {p.returncode}\n{out}".encode())
        self.log.flush()
        return p.returncode, out

    def down(self, how, work):
        if how != "pause":
            done = threading.Event()
            self.hit = (signal.SIGTERM if how == "term" else signal.SIGKILL, self.random.uniform(0.005, 0.25), done)
            done.wait(60)
        self.open.clear()
        with self.turn:
            pass
        work()
        self.open.set()

    def push(self):
        with self.turn:
            self.round()

    def close(self):
        self.over.set()
        self.open.set()
        self.thread.join(60)


class Unison(Repeated):
    """Batch runs over two local roots; of two versions the newer stays, the other is kept as a copy."""

    @staticmethod
    def why_not():
        return None if shutil.which("unison") else "unison is not installed"

    @staticmethod
    def version():
        return subprocess.run(["unison", "-version"], capture_output=True, text=True).stdout.split(" ")[2]

    def one(self, a, b):
        home = os.path.join(self.top, "unison")
        os.makedirs(home, exist_ok=True)
        code, out = self.run(["unison", a, b, "-ui", "text", "-batch", "-auto", "-times", "-prefer", "newer", "-copyonconflict", "-confirmbigdel=false", "-log=false", "-dumbtty"], dict(os.environ, UNISON=home, HOME=home))
        if code == 3 or "DANGER" in out or "locked" in out:
            # What its manual tells a person to do after it was killed.
            for left in glob.glob(os.path.join(home, "lk*")) + glob.glob(os.path.join(home, "DANGER*")):
                os.unlink(left)
                self.note("locks and warnings removed by hand")
        elif code > 0:
            self.note(f"runs with exit code {code}")


class Bisync(Repeated):
    """Runs of `rclone bisync`, with a new `--resync` where it asks for one."""

    @staticmethod
    def why_not():
        return None if shutil.which("rclone") else "rclone is not installed"

    @staticmethod
    def version():
        return subprocess.run(["rclone", "version"], capture_output=True, text=True).stdout.split("\n")[0].split(" ")[1]

    def report(self):
        with open(os.path.join(self.top, "client.log"), encoding="utf-8", errors="replace") as f:
            self.deleted = set(re.findall(r"logs/(\S+/\d+)\.xml: Deleted", f.read()))
        return {**self.trouble, **({"log segments deleted by it": len(self.deleted)} if self.deleted else {})}

    def first(self):
        open(os.path.join(self.top, "rclone.conf"), "w").close()
        for a, b in self.pairs():
            self.one(self.replicas[a], self.replicas[b], ["--resync"])

    def one(self, a, b, more=()):
        work = os.path.join(self.top, "bisync")
        command = ["rclone", "bisync", a, b, "--workdir", work, "--config", os.path.join(self.top, "rclone.conf"), "-v", "--stats", "0"]
        env = dict(os.environ, HOME=self.top)
        code, out = self.run([*command, *more], env)
        if code == 0:
            return
        self.note("runs that failed")
        for lock in glob.glob(os.path.join(work, "*.lck")):
            os.unlink(lock)
            self.note("locks removed by hand")
        if "Safety abort" in out:
            self.note("runs with --force")
            self.run([*command, "--force"], env)
        elif "--resync" in out or more:
            self.note("runs with --resync")
            self.run([*command, "--resync"], env)


CLIENTS = {"syncthing": Syncthing, "unison": Unison, "rclone": Bisync}
