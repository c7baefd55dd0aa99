#!/usr/bin/python3
"""Makes a tree of every odd thing below DIR, as root.

    odd_tree.py DIR LEVELS   LEVELS folders within each other
"""
import os
import random
import socket
import struct
import subprocess
import sys

MIB = 1 << 20
root, levels = os.fsencode(sys.argv[1]), int(sys.argv[2])
random.seed(4)


def write(name, data=b""):
    with open(name, "wb") as f:
        f.write(data)


def folder(name):
    os.mkdir(name)
    os.chdir(name)


def contents():
    folder(b"contents")
    write(b"empty")
    write(b"one", b"1")
    for size in (4095, 4096, 65535, 65536, 65537, 262144, MIB, MIB + 1):
        write(b"of-%d" % size, os.urandom(size))
    write(b"zeros", bytes(8 * MIB))  # dense: to come back dense
    write(b"small-zeros", bytes(20000))
    write(b"text", b"the same line again\n" * 200000)
    part = os.urandom(700000)
    write(b"twice", part + part)
    write(b"secret.key", os.urandom(3000))
    for i in range(300):
        write(b"small-%03d" % i, os.urandom(random.randrange(9000)))
    os.chdir("..")


def sparse():
    folder(b"sparse")
    for name, size, places in (
            (b"64MiB", 64 * MIB, (0, 5 * MIB + 17, 30 * MIB, 64 * MIB - 1)),
            (b"hole-first", 9 * MIB, (9 * MIB - 4096,)),
            (b"hole-last", 9 * MIB, (0,)),
            (b"all-hole", 3 * MIB, ()),
            (b"small", 60000, (30000,)),
            (b"odd-size", 2 * MIB + 12345, (MIB,))):
        with open(name, "wb") as f:
            f.truncate(size)
            for at in places:
                f.seek(at)
                f.write(os.urandom(min(50000, size - at)))
    os.chdir("..")


def names():
    folder(b"names")
    for name in (b"new\nline", b"\xff\xfeinvalid\x80utf-8", b"tab\there", b"-rf", b"--", b" ",
                 b"  two  ", b"back\\slash", b"'\"`$(id)", b"*?[a]", b"#hash", b"!bang",
                 b"\x01\x02\x7f\x1b[31mred", b"...", b".hidden", b"~", "äöü–日本語".encode(),
                 b"n" * 255, b"\xe4" * 255, b".drtool-not-ours", b"a.b", b"a0", b"a-b"):
        write(name, name)
    os.mkdir(b"a")  # sorts between a.b and a0 with a slash behind it
    write(b"a/b", b"x")
    os.mkdir(b"d\n" + b"\xfe" * 253)
    write(b"d\n" + b"\xfe" * 253 + b"/" + b"f" * 255, b"x")
    os.mkdir(b"empty-folder")
    folder(b"many")
    for i in range(5000):
        write(b"%d" % i)
    os.chdir("../..")


def deep():
    here = os.getcwd()
    folder(b"deep")
    for i in range(levels):
        folder(b"d")
    write(b"bottom", b"reached")
    os.chdir(here)


def long_path():
    """A path of 12,000 bytes: three times what one system call takes."""
    here = os.getcwd()
    folder(b"long")
    for i in range(60):
        folder(b"%03d" % i + b"x" * 197)
        write(b"file", b"%d" % i)
    os.symlink(b"file", b"link")
    os.link(b"file", b"hard")
    os.setxattr(b"file", b"user.far", b"away")
    os.chdir(here)


def linked():
    folder(b"links")
    os.mkdir(b"other")
    write(b"first", os.urandom(100000))
    os.link(b"first", b"second")
    os.link(b"first", b"other/third")
    write(b"tiny", b"tiny")
    os.link(b"tiny", b"other/tiny-too")
    write(b"none")
    os.link(b"none", b"none-too")
    os.symlink(b"nowhere/at/all", b"dangling")
    os.symlink(b"loop", b"loop")
    os.symlink(b"/etc/passwd", b"absolute")
    os.symlink(b"..", b"up")
    os.symlink(b"x" * 4095, b"long-target")
    os.symlink(b"to\nnew\xffline", b"odd-target")
    os.link(b"dangling", b"dangling-too", follow_symlinks=False)
    os.symlink(b"first", b"owned")
    os.chown(b"owned", 1234, 4321, follow_symlinks=False)
    os.chdir("..")


def special():
    folder(b"special")
    os.mkfifo(b"fifo", 0o640)
    os.link(b"fifo", b"fifo-too")
    os.mknod(b"char", 0o20666, os.makedev(1, 3))
    os.mknod(b"block", 0o60660, os.makedev(7, 200))
    os.mknod(b"big-numbers", 0o20600, os.makedev(4000, 1000000))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("socket")
    os.chdir("..")


def attributes():
    folder(b"attributes")
    for name, mode in ((b"setuid", 0o4755), (b"setgid", 0o2755), (b"all-bits", 0o7777),
                       (b"no-bits", 0o0), (b"write-only", 0o222)):
        write(name, name)
        os.chmod(name, mode)
    for name, mode in ((b"sticky", 0o1777), (b"setgid-folder", 0o2770), (b"closed", 0o0),
                       (b"no-read", 0o311)):
        os.mkdir(name)
        write(name + b"/inside", name)
        os.chmod(name, mode)
    write(b"far-owner", b"x")
    os.chown(b"far-owner", 3000000000, 4000000000)
    os.mkdir(b"their-folder")
    os.chown(b"their-folder", 12345, 54321)
    write(b"their-setuid", b"x")
    os.chown(b"their-setuid", 12345, 54321)
    os.chmod(b"their-setuid", 0o6755)
    write(b"xattrs", b"x" * 70000)
    os.setxattr(b"xattrs", b"user.binary", bytes(range(256)))
    os.setxattr(b"xattrs", b"user.empty", b"")
    os.setxattr(b"xattrs", b"user.large", os.urandom(2500))
    os.setxattr(b"xattrs", b"trusted.for-root", b"root")
    os.setxattr(b"xattrs", b"user." + b"n" * 200, b"long name")
    os.mkdir(b"xattr-folder")
    os.setxattr(b"xattr-folder", b"user.on-folder", b"yes")
    os.symlink(b"xattrs", b"xattr-link")
    os.setxattr(b"xattr-link", b"trusted.on-link", b"yes", follow_symlinks=False)
    write(b"capable", b"#!/bin/true\n")
    os.setxattr(b"capable", b"security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    write(b"acl", b"x")
    os.mkdir(b"acl-folder")
    subprocess.run(["setfacl", "-m", "u:nobody:rw,u:12345:r,g:daemon:r,m::rw", "acl"], check=True)
    subprocess.run(["setfacl", "-m", "u:nobody:rwx,d:u:nobody:rx,d:g:54321:rwx", "acl-folder"],
                   check=True)
    write(b"acl-folder/inherits", b"x")
    os.chdir("..")


def times():
    folder(b"times")
    for name, s, ns in ((b"1902", -2145916800, 5), (b"before-1970", -1, 999999999),
                        (b"minus-one", -1, 0), (b"1970", 0, 0), (b"1970-and-a-bit", 0, 1),
                        (b"2038", 1 << 31, 123456789), (b"2106", 1 << 32, 1),
                        (b"2400", 13569465600, 999999999), (b"nanosecond", 1600000000, 1)):
        write(name, name)
        os.mkdir(name + b"-folder")
        os.symlink(name, name + b"-link")
        for n in (name, name + b"-folder", name + b"-link"):
            os.utime(n, ns=(0, s * 1000000000 + ns), follow_symlinks=False)
    os.chdir("..")


folder(root)
for make in (contents, sparse, names, deep, long_path, linked, special, attributes, times):
    make()
os.utime(b".", ns=(0, -123456789123456789))
