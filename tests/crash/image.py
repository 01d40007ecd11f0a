"""A power cut on a real file system: the world lies in an image on a loop device (root is needed).

After the kill a neighbour syncs a file of its own, which brings the file system's journal to disk;
then the image is copied as the disk has it, without what is still in memory, and the copy is mounted.
"""

import os
import shutil
import subprocess

# name: (make, mount options, size)
KINDS = {
    "ext4": (["mkfs.ext4", "-q", "-E", "lazy_itable_init=0"], "loop", 96 << 20),
    "ext4-noauto": (["mkfs.ext4", "-q", "-E", "lazy_itable_init=0"], "loop,noauto_da_alloc", 96 << 20),
    "xfs": (["mkfs.xfs", "-q"], "loop,nouuid", 320 << 20),
}


def call(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{args[0]}: {done.stderr.strip()}")


def why_not(kind):
    """Why such an image cannot be used here, if so."""
    if os.geteuid() != 0:
        return "it needs root"
    tool = KINDS[kind][0][0]
    return None if shutil.which(tool) else f"there is no {tool}"


class Image:
    """Images of one world."""

    def __init__(self, top, kind, world):
        self.make, self.options, size = KINDS[kind]
        self.template = os.path.join(top, kind + ".img")
        with open(self.template, "wb") as f:
            f.truncate(size)
        call(*self.make, self.template)
        mnt = self.mount(self.template)
        call("cp", "-a", world, os.path.join(mnt, "world"))
        self.unmount(mnt)

    def mount(self, path):
        mnt = path + ".mnt"
        os.makedirs(mnt, exist_ok=True)
        call("mount", "-o", self.options, path, mnt)
        return mnt

    def unmount(self, mnt):
        call("umount", mnt)
        os.rmdir(mnt)

    def cut(self, out, run):
        """Gives `run` a world on a fresh image, cuts the power, and puts what the disk has in `out`."""
        live, dead = out + ".live", out + ".dead"
        try:
            call("cp", "--sparse=always", self.template, live)
            mnt = self.mount(live)
            try:
                done = run(os.path.join(mnt, "world"))
                fd = os.open(os.path.join(mnt, "neighbour"), os.O_WRONLY | os.O_CREAT)
                os.write(fd, b"something else")
                os.fsync(fd)
                os.close(fd)
                call("cp", "--sparse=always", live, dead)
            finally:
                self.unmount(mnt)
            mnt = self.mount(dead)
            try:
                shutil.rmtree(out, ignore_errors=True)
                call("cp", "-a", os.path.join(mnt, "world"), out)
            finally:
                self.unmount(mnt)
            return done
        finally:
            for f in (live, dead):
                if os.path.exists(f):
                    os.unlink(f)
