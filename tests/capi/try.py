"""A host application in Python, without the command: python3 try.py LIBRARY cfs.toml"""
import ctypes, json, sys

lib = ctypes.CDLL(sys.argv[1])
lib.cfs_last_error.restype = lib.cfs_version.restype = ctypes.c_char_p
PROGRESS = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p)
lib.cfs_sync_now.argtypes = [ctypes.c_void_p, ctypes.c_int, PROGRESS, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
for name in ("cfs_status_json", "cfs_conflicts_json"):
    getattr(lib, name).argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
lib.cfs_runs_json.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_void_p)]
lib.cfs_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
lib.cfs_close.argtypes = lib.cfs_free.argtypes = [ctypes.c_void_p]


def check(code):
    if code:
        raise RuntimeError(f"{code}: {lib.cfs_last_error().decode()}")


def ask(call, *args):
    out = ctypes.c_void_p()
    check(call(*args, ctypes.byref(out)))
    try:
        return json.loads(ctypes.string_at(out.value))
    finally:
        lib.cfs_free(out)


site = ctypes.c_void_p()
check(lib.cfs_open(sys.argv[2].encode(), ctypes.byref(site)))
steps = []
bar = PROGRESS(lambda what, done, total, user: steps.append((what, done, total)))
report = ask(lib.cfs_sync_now, site, 1, bar, None)
assert steps and report["full"] and report["records"] > 0, report
assert ask(lib.cfs_status_json, site)["site"]["name"] == "South"
assert ask(lib.cfs_runs_json, site, 2)["runs"][0]["changes"]
lib.cfs_resolve.argtypes = [ctypes.c_void_p] + 4 * [ctypes.c_char_p] + [ctypes.c_size_t]
lost = ask(lib.cfs_conflicts_json, site)["conflicts"][0]
which = [text.encode() for text in (lost["record"], f"{lost['table']}:{lost['row']}", lost["field"], lost["mark"])]
# The database of this host refuses the value that lost.
assert lib.cfs_resolve(site, *which, 1) == 1 and b"refuses" in lib.cfs_last_error(), lib.cfs_last_error()
lib.cfs_close(site)
print("all well")
