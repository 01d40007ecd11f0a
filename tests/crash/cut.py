"""A power cut, made from the journal of a killed run: what nobody made durable is lost.

Bytes written and not synced become zeros (or are cut off, where they made the file longer); in the
harsher of the two, renames and unlinks are undone whose directory was not synced. File systems may
do so: renames without sync lose data on XFS and on ext4 with noauto_da_alloc.
"""

import os


def apply(journal, keep, undo):
    """Changes the world as the cut leaves it. Gives how many ranges, renames and unlinks were lost."""
    dirty, moved = {}, []
    try:
        lines = open(journal, encoding="utf-8", errors="surrogateescape").read().split("\n")
    except FileNotFoundError:
        return 0, 0
    for line in lines:
        what, *args = line.split("\t")
        args = [os.path.normpath(a) if a.startswith("/") else a for a in args]
        if what == "write" and args[0].startswith("/"):
            dirty.setdefault(args[0], []).append((int(args[1]), int(args[2])))
        elif what == "cut":
            dirty[args[0]] = [(o, min(n, int(args[1]) - o)) for o, n in dirty.get(args[0], []) if o < int(args[1])]
        elif what == "sync":
            dirty.pop(args[0], None)
            moved = [m for m in moved if os.path.dirname(m[2]) != args[0]]
        elif what == "syncall":
            dirty, moved = {}, []
        elif what == "rename":
            if args[0] in dirty:
                dirty[args[1]] = dirty.pop(args[0])
            else:
                dirty.pop(args[1], None)
            moved.append(("rename", args[0], args[1], int(args[2])))
        elif what == "unlink":
            dirty.pop(args[0], None)
            moved.append(("unlink", None, args[0], int(args[1])))
    lost = 0
    for path, ranges in dirty.items():
        if path.endswith("-shm") or not os.path.isfile(path):
            continue
        with open(path, "r+b") as f:
            size = os.path.getsize(path)
            for offset, length in ranges:
                if offset < size and length > 0:
                    f.seek(offset)
                    f.write(bytes(min(length, size - offset)))
                    lost += 1
            if any(o == 0 for o, _ in ranges) and path.endswith((".part", ".xml")):
                f.truncate(0)
    undone = 0
    for what, old, new, n in reversed(moved if undo else []):
        kept = os.path.join(keep, str(n))
        if what == "rename" and os.path.exists(new):
            os.rename(new, old)
        if n and os.path.exists(kept):
            os.link(kept, new) if not os.path.exists(new) else None
        undone += 1
    return lost, undone
