#!/usr/bin/env python3
"""Asks a service to synchronize again and again, and looks whether its memory and its descriptors grow.

  benches/soak.py CFS [CYCLES]          100,000 cycles if nothing is said; every hundredth has something to send

Prints a line now and then, and at the end the growth between the first tenth and the end. Exit code 1 if memory grew by
more than a quarter and 8 MB, or the descriptors by more than 8.
"""
import json, os, pathlib, shutil, socket, sqlite3, subprocess, sys, tempfile, time

cfs, cycles = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
tmp = pathlib.Path(tempfile.mkdtemp(prefix="cfs-soak-"))
subprocess.run([cfs, "demo", tmp / "demo"], check=True, stdout=subprocess.DEVNULL)
north = tmp / "demo" / "north"
service = subprocess.Popen([cfs, "--config", north / "cfs.toml", "run"], stderr=subprocess.DEVNULL)
try:
    while not (doors := list((tmp / "demo" / "state").glob("*.door"))):
        time.sleep(0.05)
    door = doors[0].read_text().strip()

    def ask(question):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(door)
            s.sendall(json.dumps(question).encode() + b"\n")
            lines = s.makefile().read().splitlines()
        return json.loads(lines[-1])

    def use():
        status = pathlib.Path(f"/proc/{service.pid}/status").read_text()
        rss = int(status.split("VmRSS:")[1].split()[0])
        return rss, len(os.listdir(f"/proc/{service.pid}/fd"))

    db = sqlite3.connect(north / "clinic.db", timeout=30, isolation_level=None)
    seen, start = [], time.time()
    for i in range(1, cycles + 1):
        if i % 100 == 0:
            db.execute("UPDATE patient SET phone = ? WHERE id = 1", (f"555 {i}",))
        answer = ask({"ask": "sync"})
        assert "report" in answer, answer
        if i % max(1, cycles // 20) == 0:
            seen.append(use())
            print(f"{i:8} cycles  {seen[-1][0] / 1024:6.1f} MB  {seen[-1][1]:3} descriptors  {(time.time() - start) / i * 1000:.1f} ms each", flush=True)
    (rss0, fd0), (rss1, fd1) = seen[1 if len(seen) > 1 else 0], seen[-1]
    grew = rss1 > rss0 * 1.25 + 8192 or fd1 > fd0 + 8
    print(f"memory {rss0 / 1024:.1f} -> {rss1 / 1024:.1f} MB, descriptors {fd0} -> {fd1}: {'IT GROWS' if grew else 'flat'}")
    sys.exit(1 if grew else 0)
finally:
    service.terminate()
    service.wait()
    shutil.rmtree(tmp, ignore_errors=True)
