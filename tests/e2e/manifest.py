#!/usr/bin/python3
"""Prints all that can be known of the tree below DIR, one entry a line: what two
trees must have in common to be the same. Sockets are left out; the place of data
and holes is shown, which no other program compares.

    manifest.py DIR
"""
import hashlib
import os
import stat
import sys

links = {}


def extents(fd, size):
    """Where data lies, and its SHA-256 (of the data and of where it lies)."""
    out, h, at = [], hashlib.sha256(), 0
    while at < size:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        out.append("%d-%d" % (begin, at))
        done = begin
        while done < at:
            piece = os.pread(fd, min(1 << 20, at - done), done)
            h.update(piece)
            done += len(piece)
    return ",".join(out[:100]), h.hexdigest()


def tell(path, name, st):
    words = ["%r" % path, stat.filemode(st.st_mode), "%o" % stat.S_IMODE(st.st_mode),
             "%d:%d" % (st.st_uid, st.st_gid), "mtime=%d" % st.st_mtime_ns]
    kind = stat.S_IFMT(st.st_mode)
    if kind != stat.S_IFDIR:
        first = links.setdefault((st.st_dev, st.st_ino), path)
        words += ["size=%d" % st.st_size, "links=%d" % st.st_nlink]
        if first != path:
            words.append("like=%r" % first)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        words.append("device=%d" % st.st_rdev)
    if kind == stat.S_IFLNK:
        words.append("target=%r" % os.readlink(name))
    for key in sorted(os.listxattr(name, follow_symlinks=False)):
        words.append("%s=%s" % (key, os.getxattr(name, key, follow_symlinks=False).hex()))
    if kind == stat.S_IFREG:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME)
        words += extents(fd, st.st_size)
        os.close(fd)
    print(" ".join(words))


def walk(path):
    for name in sorted(os.listdir(b".")):
        st = os.lstat(name)
        if stat.S_ISSOCK(st.st_mode):
            continue
        below = path + b"/" + name
        tell(below, name, st)
        if stat.S_ISDIR(st.st_mode):
            os.chdir(name)  # paths may be longer than one call takes
            walk(below)
            os.chdir(b"..")


sys.setrecursionlimit(20000)
os.chdir(sys.argv[1])
tell(b".", b".", os.lstat(b"."))
walk(b".")
