#!/usr/bin/python3
"""Reads a drtool repository without drtool.

    decode.py REPO_DIR KEY [--no-index] [--no-conf] COMMAND

    KEY        --passphrase-env NAME | --key-file FILE | --code-env NAME
    list                    the snapshots: id, host, source, time, entries, state
    ls SNAPSHOT             what is in one
    cat SNAPSHOT PATH       one file's bytes
    restore SNAPSHOT DIR    everything, into an empty or new folder
    log FILE                a file of a database's log, as 00000001000000000000000A
    verify                  every object, every chunk, every snapshot

REPO_DIR is the folder of a file:// target. SNAPSHOT is the beginning of an id,
or the name of a source: its newest snapshot that counts. --no-index reads the
packs' own directories, --no-conf goes on without the hosts' public keys. The
exit status is 1 when something could not be had or is damaged.

Written from drtool-format(5) alone; "5: NAME" below is a section of that page.
Needs python3-nacl, python3-zstandard and, for AES-GCM, python3-cryptography.
"""
import argparse
import functools
import grp
import hashlib
import hmac
import os
import pwd
import re
import stat
import struct
import sys
import time

import nacl.bindings as sodium
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from nacl.exceptions import CryptoError


class Bad(Exception):
    """What was read is damaged, forged or unknown."""


def need(ok, why):
    if not ok:
        raise Bad(why)


PROBLEMS = []


def problem(name, why):
    PROBLEMS.append(name)
    print("%s: %s" % (name, why), file=sys.stderr)


def attempt(name, what, *args):
    """Goes on when something is bad, and says so."""
    try:
        what(*args)
    except (Bad, OSError) as why:
        problem(name, why)


def shown(raw):
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# --- 5: CONVENTIONS: integers, records, algorithms ---------------------------

class Cursor:
    """Takes bytes and integers from the front of a byte string."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "ends too early")
        self.at += n
        return self.data[self.at - n:self.at]

    def u(self, n):
        return int.from_bytes(self.take(n), "little")

    def var(self):
        value = 0
        for i in range(10):
            byte = self.u(1)
            value |= (byte & 127) << (7 * i)
            if byte < 128:
                need(value < 1 << 64, "a var of more than 64 bits")
                return value
        raise Bad("a var of more than 10 bytes")

    def zigzag(self):
        n = self.var()
        return n >> 1 ^ -(n & 1)

    def string(self):
        return self.take(self.var())

    def end(self):
        need(self.at == len(self.data), "bytes are left over")


class Record:
    """Fields by tag; of those with the same tag the first counts."""

    def __init__(self, data):
        c, self.fields = Cursor(data), []
        while c.at < len(data):
            self.fields.append((c.u(2), c.take(c.u(4))))

    def every(self, tag):
        return [value for t, value in self.fields if t == tag]

    def get(self, tag, length=None):
        value = (self.every(tag) or [b""])[0]
        need(length in (None, len(value)), "field %d has a wrong length" % tag)
        return value

    def number(self, tag):
        value = self.get(tag)
        return int.from_bytes(value, "little") if len(value) == 8 else 0


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), "sha256").digest()


def expand(key, info, length=32):  # HKDF-Expand
    out = block = b""
    while len(out) < length:
        block = mac(key, block, info, bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def kdf(key, context, number):
    return hashlib.blake2b(b"", digest_size=32, key=key, salt=struct.pack("<QQ", number, 0),
                           person=context.ljust(16, b"\0")).digest()


def unlock(key, locked, data):
    need(len(locked) >= 40, "is too short")
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            locked[24:], data, locked[:24], key)
    except CryptoError:
        raise Bad("cannot be unlocked") from None


def unbox(public, private, sealed):
    try:
        return sodium.crypto_box_seal_open(sealed, public, private)
    except (CryptoError, TypeError):
        raise Bad("a session key cannot be opened") from None


def check_signature(public, signature, label, data):
    try:
        sodium.crypto_sign_open(signature + label + sha256(data), public)
    except CryptoError:
        raise Bad("its signature does not fit") from None


CRC = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    CRC.append(value)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


# --- 5: OBJECTS ON A TARGET, Limits, HEADER ----------------------------------

KINDS = {letters: (re.compile(pattern.replace("ID", "([0-9a-f]{64})")), limit)
         for letters, pattern, limit in (
    ("R", r"drt\.repo", 4096),
    ("K", r"keys/[0-9a-f]{16}", 8704),
    ("C", r"conf/([0-9]{10})-ID", 65536),
    ("PM", r"pack/([0-9a-f]{2})/(?=\1)ID", 134217728),
    ("I", r"index/([0-9a-f]{8})-ID", 125829120),
    ("S", r"snap/([0-9a-f]{16}/[0-9]{10})-ID", 1048576),
    ("D", r"done/([0-9a-f]{16}/[0-9]{10})-ID", 8192),
    ("G", r"gone/([0-9a-f]{16}/[0-9]{10})-ID", 8192),
    ("W", r"gc/([0-9a-f]{8})-ID\.mark", 67108864),
    ("X", r"gc/([0-9a-f]{8})-ID\.sweep", 67108864),
    ("L", r"log/[0-9a-f]{16}/[0-9a-f]{8}/[0-9a-z.]{1,40}-ID", 75497472))}
LABEL = {letter: b"drtool-v1/" + word for letter, word in zip("RKCISDGWXL", (
    b"repo", b"slot", b"conf", b"index", b"snap", b"done", b"gone", b"mark", b"sweep",
    b"log"))}


def check_header(raw, letters, repository=None):
    need(len(raw) >= 64 and raw[:8] == b"\x89DRT\r\n\x1a\n", "is no drtool object")
    need(crc32c(raw[:60]) == int.from_bytes(raw[60:64], "little"), "its header is damaged")
    need(raw[9] == 1, "its format version is %d, not 1" % raw[9])
    need(raw[12:16] == bytes(4), "has features that this program does not know")
    need(chr(raw[8]) in letters, "its type does not fit its name")
    need(repository in (None, raw[24:40]), "is of another repository")


class Target:
    """The objects of a folder whose names fit: {letters: [name]}."""

    def __init__(self, folder):
        self.folder, self.names, self.others = folder, {letters: [] for letters in KINDS}, 0
        for where, _, files in os.walk(folder):
            for name in (os.path.relpath(os.path.join(where, file), folder) for file in files):
                letters = [k for k, (pattern, _) in KINDS.items() if pattern.fullmatch(name)]
                if letters:
                    self.names[letters[0]].append(name)
                else:
                    self.others += not os.path.basename(name).startswith(".")
        for names in self.names.values():
            names.sort()
        self.packs = {name[-64:]: name for name in self.names["PM"]}

    def size(self, name):
        return os.stat(os.path.join(self.folder, name)).st_size

    def read(self, name, offset, length):
        with open(os.path.join(self.folder, name), "rb") as f:
            f.seek(offset)
            raw = f.read(length)
        need(len(raw) == length, "is too short")
        return raw

    def get(self, name, repository=None):
        """A whole object: limit, name hash and header are checked."""
        letters = next(k for k in KINDS if KINDS[k][0].fullmatch(name))
        need(self.size(name) <= KINDS[letters][1], "is too large")
        raw = self.read(name, 0, self.size(name))
        groups = KINDS[letters][0].fullmatch(name).groups()
        need(not groups or sha256(raw).hex() == groups[-1], "its SHA-256 is not its name")
        check_header(raw, letters, repository)
        return raw


# --- 5: KEY SLOTS, KEY FILES, RECOVERY CODES ---------------------------------

def read_secret(args):
    """(slot kind, secret) of what the command line names."""
    if args.passphrase_env:
        phrase = os.environb[os.fsencode(args.passphrase_env)]
        return 1, phrase[:-1] if phrase.endswith(b"\n") else phrase
    if args.key_file:
        with open(args.key_file, encoding="ascii") as f:
            match = re.fullmatch(r"drtool-key-v1:([0-9a-f]{64})\s*", f.read())
        need(match, "this is no key file")
        return 2, bytes.fromhex(match[1])
    code = re.sub(r"[-\s]", "", os.environ[args.code_env].upper())
    code = code.replace("O", "0").replace("I", "1").replace("L", "1")
    digits = ["0123456789ABCDEFGHJKMNPQRSTVWXYZ".find(c) for c in code]
    need(len(digits) == 36 and -1 not in digits, "this is no recovery code")
    bits = functools.reduce(lambda n, digit: n << 5 | digit, digits)
    secret = (bits >> 20).to_bytes(20, "big")
    need(bits & 0xfffff == int.from_bytes(sha256(secret)[:3], "big") >> 4,
         "the recovery code was mistyped")
    return 3, secret


def open_slot(raw, kind, secret):
    """The bundle in a slot, or None when the slot is of another secret."""
    need(len(raw) >= 168, "is too short")
    passes, memory = struct.unpack_from("<II", raw, 68)
    salt = raw[80:96]
    if raw[64] != kind:
        return None
    if kind == 1:
        need(1 <= passes <= 16 and 8 <= memory <= 4 << 20, "Argon2id outside the limits")
        key = sodium.crypto_pwhash_alg(64, secret, salt, passes, memory * 1024,
                                       sodium.crypto_pwhash_ALG_ARGON2ID13)
    else:
        key = expand(mac(salt, secret), LABEL["K"], 64)
    if not hmac.compare_digest(key[32:], raw[96:128]):
        return None
    bundle = Record(unlock(key[:32], raw[128:], LABEL["K"] + raw[:128]))
    need(bundle.get(2, 16) == raw[24:40], "is of another repository than its bundle")
    return bundle


# --- the repository: 5: HOW TO READ tells the order --------------------------

class Repository:
    def __init__(self, target, secret, index=True, conf=True):
        self.target, bundles = target, []
        for name in target.names["K"]:
            attempt(name, lambda name: bundles.append(open_slot(target.get(name), *secret)), name)
        b = next(filter(None, bundles), None)  # 5: BUNDLES, EPOCHS, KEYS
        need(b, "no key slot fits this secret")
        self.id, self.root, self.maintenance, self.k_id = (
            b.get(tag, length) for tag, length in ((2, 16), (3, 32), (8, 32), (5, 32)))
        self.k_directory, self.k_index, self.k_conf, self.k_name, self.k_log = (
            kdf(b.get(7, 32), b"drt-dir_", n) for n in (1, 2, 3, 4, 7))
        self.epochs = {e.number(1): e for e in map(Record, b.every(9))}
        self.hosts, self.revoked = {}, set()
        self.target_id = Record(self.signed("drt.repo", "root")[0]).get(1, 16)
        self.hosts = self.follow_conf() if conf else None
        self.table, self.directories, self.tails_read = {}, {}, False
        for name in target.names["I"] if index else ():
            attempt(name, self.read_segment, name)

    # --- 5: SIGNED OBJECTS, CONFIGURATION RECORDS ---

    def signed(self, name, *roles):
        """(body, signer, whole object), signed by one who has to sign it."""
        raw = self.target.get(name, self.id)
        need(len(raw) >= 144, "is too short")
        signer = raw[-80:-64]
        role = {bytes(16): "root", b"\xff" * 16: "maintenance"}.get(signer, "host")
        need(role in roles, "must not be signed by " + role)
        if role == "host" and self.hosts is None:  # --no-conf
            return raw[64:-80], signer, raw
        public = self.hosts.get(signer) if role == "host" else getattr(self, role)
        need(public, "is signed by an unknown host")
        check_signature(public, raw[-64:], LABEL[chr(raw[8])], raw[:-64])
        return raw[64:-80], signer, raw

    def follow_conf(self):
        """Public keys by host id, of all records that root has signed."""
        hosts, found, named = {}, {}, []

        def take(name):
            body, _, raw = self.signed(name, "root")
            record = Record(unlock(self.k_conf, body, LABEL["C"] + raw[:64]))
            number, before = int(name[5:15]), record.every(2)
            need(record.number(1) == number, "has another number")
            need(len(before) == (number > 0), "does not name one record before it")
            found[sha256(raw)] = number
            named.extend((name, sha, number - 1) for sha in before)
            named.extend((name, sha, None) for sha in record.every(6))
            for tag, value in record.fields:
                if tag == 4:
                    hosts.setdefault(Record(value).get(1, 16), Record(value).get(2, 32))
                elif tag == 5:
                    self.revoked.add(value)

        need(self.target.names["C"], "there is no conf/; --no-conf goes on without")
        for name in self.target.names["C"]:
            attempt(name, take, name)
        need(found, "no conf/ record is valid; --no-conf goes on without")
        for name, sha, number in named:
            if sha not in found or number not in (None, found[sha]):
                problem(name, "names conf/ record %s, which is not there" % sha.hex())
        return hosts

    # --- 5: SNAPSHOTS, COMMIT RECORDS ---

    def host_tag(self, host):
        return mac(self.k_name, host)[:8].hex()

    def snapshot(self, name):
        body, signer, raw = self.signed(name, "host")
        number, epoch = struct.unpack_from("<QI", body.ljust(12, b"\0"))
        need(epoch in self.epochs, "is of an unknown epoch")
        epoch = self.epochs[epoch]
        key = expand(unbox(epoch.get(3, 32), epoch.get(5), body[12:92]), LABEL["S"] + body[:8])
        record = Record(unlock(key, body[92:], LABEL["S"] + raw[:156]))
        need(record.get(4) == signer, "is not signed by its host")
        need(name.startswith("snap/%s/%010d-" % (self.host_tag(signer), number))
             and record.number(5) == number, "its host or number does not fit its name")
        return record

    def commit(self, name):
        """The snapshot of which a done/ or gone/ speaks."""
        body, signer, _ = self.signed(name, "host", "maintenance")
        record, about = Record(body), os.fsdecode(Record(body).get(2))
        need(name[:4] == "done" or signer == b"\xff" * 16 or self.host_tag(signer) == name[5:21],
             "is of another host than its snapshot")
        need(record.get(1) == self.target_id, "is for another target")
        need(about.startswith("snap" + name[4:33]), "speaks of another snapshot than its name")
        return about

    def snapshots(self):
        """[(time, id, record, state)] by time. A revoked host may have made its
        snapshots before or after: they show as such, and are not taken by name.
        """
        found, done, gone = [], set(), set()

        def add(name):
            record = self.snapshot(name)
            found.append((struct.unpack("<qI", record.get(6, 12)), name[-64:], record,
                          "unfinished" if name not in done else
                          "partial" if record.number(12) & 1 else
                          "revoked" if record.get(4) in self.revoked else "committed"))

        for letter, names in (("D", done), ("G", gone)):
            for name in self.target.names[letter]:
                attempt(name, lambda name, names: names.add(self.commit(name)), name, names)
        for name in self.target.names["S"]:
            if name not in gone:
                attempt(name, add, name)
        return sorted(found, key=lambda s: s[:2])

    def choose(self, text):
        every = self.snapshots()
        fit = [s for s in every if s[3] == "committed" and s[2].get(1) == os.fsencode(text)][-1:]
        fit = fit or [s for s in every if s[1].startswith(text.lower())]
        need(len(fit) == 1, "%d snapshots fit %s" % (len(fit), text))
        if fit[0][3] != "committed":
            print("this snapshot is " + fit[0][3], file=sys.stderr)
        return fit[0][2]

    # --- 5: PACKS, INDEX SEGMENTS ---

    def add_directory(self, pack, plain, end):
        """Puts a directory into the table; its chunks lie between 80 and `end`."""
        k, c = struct.unpack_from("<II", plain.ljust(8, b"\0"))
        length = 8 + 88 * k + 52 * c
        need(k <= 255 and c <= 1 << 20 and length <= len(plain) and not any(plain[length:]),
             "a directory of a wrong length")
        keys = [plain[8 + 88 * i:96 + 88 * i] for i in range(k)]
        letter = self.target.read(self.target.packs[pack], 8, 1)
        need(all(e[0] == b" PM".find(letter) and e[1] in (1, 2) for e in keys),
             "a directory with a wrong key")
        offset, records = 80, list(struct.iter_unpack("<32sIIIIBBBx", plain[8 + 88 * k:length]))
        for _, _, at, stored, raw, key, encoding, kind in records:
            need(at == offset and 16 <= stored <= 4259840 and raw <= 4194304 and key < k
                 and encoding in (0, 1) and 1 <= kind <= 6 and keys[key][0] == 1 + (kind > 2)
                 and (encoding or stored == raw + 16), "a directory with a wrong chunk")
            offset += stored
        need(offset <= end, "a directory with chunks behind the pack's end")
        need(self.directories.setdefault(pack, plain[:length]) == plain[:length],
             "a directory that differs from that of the index")
        for record in records:
            self.table.setdefault(record[0], {})[pack] = (keys[record[5]], record)

    def read_segment(self, name):
        body, _, raw = self.signed(name, "host", "maintenance")
        for pack in Record(unlock(self.k_index, body, LABEL["I"] + raw[:64])).every(1):
            attempt(name, self.read_pack_of_segment, Record(pack))

    def read_pack_of_segment(self, record):
        sha, size, plain = record.get(1, 32), record.number(2), record.get(5)
        if sha.hex() not in self.target.packs:
            return
        if self.hosts is not None:
            public = self.hosts.get(record.get(3, 16))
            need(public, "a pack of an unknown host")
            check_signature(public, record.get(4, 64), b"drtool-v1/pack",
                            self.id + sha + struct.pack("<Q", size) + sha256(plain))
        need(size == self.target.size(self.target.packs[sha.hex()]), "a pack of another size")
        self.add_directory(sha.hex(), plain, size - 48 - 40 - len(plain))

    def read_tail(self, pack):
        name, label = self.target.packs[pack], b"drtool-v1/directory"
        size = self.target.size(name)
        need(128 <= size <= 134217728, "has a wrong size")
        head, foot = self.target.read(name, 0, 80), self.target.read(name, size - 48, 48)
        check_header(head, "PM", self.id)
        need(crc32c(foot[:44]) == int.from_bytes(foot[44:], "little"), "its footer is damaged")
        offset, length = struct.unpack_from("<QI", foot, 16)
        need(foot[:16] == head[64:] and offset >= 80 and offset + length + 48 == size
             and length <= 54591488, "its footer does not fit")
        locked = self.target.read(name, offset, length)
        need(not any(locked[:24]), "its directory has a nonce")
        plain = unlock(expand(self.k_directory, label + foot[:16]), locked, label + head)
        self.add_directory(pack, plain, offset)

    def read_tails(self):
        self.tails_read = True
        for pack, name in self.target.packs.items():
            attempt(name, self.read_tail, pack)

    # --- 5: CHUNKS ---

    @functools.lru_cache(maxsize=1024)
    def session_key(self, entry):
        epoch = self.epochs.get(int.from_bytes(entry[4:8], "little"))
        need(epoch, "a session key of an unknown epoch")
        return unbox(epoch.get(1 + entry[0], 32), epoch.get(3 + entry[0]), entry[8:])

    def open_chunk(self, pack, entry, record):
        return self.unseal(entry, record, self.target.read(
            self.target.packs[pack], record[2], record[3]))

    def unseal(self, entry, record, sealed):
        chunk, counter, _, stored, length, _, encoding, kind = record
        key = expand(self.session_key(entry), b"drtool-v1/chunk" + entry[:2] + chunk
                     + struct.pack("<IBII", counter, encoding, length, stored))
        try:
            plain = (AESGCM, ChaCha20Poly1305)[entry[1] - 1](key).decrypt(
                bytes(12), sealed, self.id + entry[:1] + bytes([kind]) + chunk)
            if encoding:
                plain = zstandard.ZstdDecompressor().stream_reader(plain).read(length + 1)
        except (InvalidTag, zstandard.ZstdError):
            raise Bad("chunk %s is damaged" % chunk.hex()) from None
        need(len(plain) == length and mac(self.k_id, bytes([kind]), plain) == chunk,
             "chunk %s has another content" % chunk.hex())
        return plain

    @functools.lru_cache(maxsize=16)
    def chunk(self, chunk, *kinds):
        """Its plain bytes, from the first pack that has a good copy."""
        why = "chunk %s is in no pack" % chunk.hex()
        for _ in range(2):
            for pack, (entry, record) in list(self.table.get(chunk, {}).items()):
                try:
                    need(record[7] in kinds, "chunk %s is of a wrong kind" % chunk.hex())
                    return self.open_chunk(pack, entry, record)
                except Bad as error:
                    why = error
            if not self.tails_read:
                self.read_tails()
        raise Bad(why)

    # --- 5: LOGS ---

    def log(self, name):
        """(record, bytes) of a file of a log."""
        body, _, raw = self.signed(name, "host")
        length = int.from_bytes(body[-4:], "little")
        need(40 <= length <= 8232 and length + 4 <= len(body), "a record of a wrong length")
        record = Record(unlock(self.k_log, body[-4 - length:-4], LABEL["L"] + raw[:64]))
        entry, at, plain = record.get(8, 88), 0, []
        need(record.number(1) == 1 and entry[0] == 1, "is a log of an unknown kind")
        for piece in record.every(9):
            chunk, counter, stored, raw_length, encoding = struct.unpack("<32sIIIBxxx", piece)
            plain.append(self.unseal(entry, (chunk, counter, 0, stored, raw_length, 0, encoding, 7),
                                     body[at:at + stored]))
            at += stored
        plain = b"".join(plain)
        need(at == len(body) - 4 - length and len(plain) == record.number(4)
             and mac(self.k_id, b"log", sha256(plain)) == record.get(6, 32), "is not whole")
        stream = mac(self.k_name, b"log", b"\1", record.get(2))[:8].hex()
        file = os.fsdecode(record.get(3))
        need(name.startswith("log/%s/%s/%s-" % (stream, file[:8].lower(),
                                                file[8:].lstrip(".").lower())),
             "holds another file than its name tells")
        return record, plain

    # --- 5: MANIFEST ---

    def node(self, chunk, level):
        """(path, (child, entries, bytes)) or, in a leaf, (path, Entry)."""
        c, path, named = Cursor(self.chunk(chunk, 3)), b"", [None]
        need((c.u(1), c.u(1)) == (1, level) and level <= 11, "a node of a wrong level")
        c.take(2)
        for i in range(c.u(4)):
            shared, before = c.var(), path
            need(shared <= len(path) and (i or not shared), "a path is damaged")
            path = path[:shared] + c.take(c.var())
            need(len(path) <= 65535 and b"\0" not in path
                 and not {b"", b".", b".."} & set(path.split(b"/")), "a path leads elsewhere")
            need(not i or order(before) < order(path), "paths are out of order")
            yield path, (c.take(32), c.var(), c.var()) if level else Entry(c, named)
        c.end()

    def walk(self, chunk, level, first=None):
        """All (path, entry) below a node; returns their number and size."""
        count = size = 0
        for path, item in self.node(chunk, level):
            need(first in (None, path), "a node does not begin where its parent says")
            first, below = None, (1, 0) if level else (1, item.size)
            if level:
                try:
                    below = yield from self.walk(item[0], level - 1, path)
                    need(below == item[1:], "a node does not hold what its parent says")
                except Bad as why:
                    problem("from %s on" % shown(path), why)
                    below = item[1:]
            else:
                yield path, item
            count, size = count + below[0], size + below[1]
        return count, size

    def entries(self, snapshot):
        last = other = b""
        walk = self.walk(snapshot.get(8, 32), snapshot.number(9))
        try:
            while True:
                path, entry = next(walk)
                need(order(last) < order(path), "paths are out of order")
                need(not path.startswith(other + b"/"), "a path leads through what is no folder")
                last, other = path, other if entry.type == 2 else path
                yield path, entry
        except StopIteration as end:
            need(end.value == (snapshot.number(10), snapshot.number(11)),
                 "the snapshot counts other entries or bytes")

    def find(self, snapshot, path):
        chunk, level = snapshot.get(8, 32), snapshot.number(9)
        while True:
            item = [i for i in self.node(chunk, level) if order(i[0]) <= order(path)][-1:]
            need(item and (level or item[0][0] == path), "there is no such path")
            if not level:
                return item[0][1]
            chunk, level = item[0][1][0], level - 1

    # --- 5: EXTENT TREES, EXTENDED ATTRIBUTES, content ids ---

    def extents(self, chunk, size, level=None):
        """(chunk id or None, offset, length) of the extent tree below a chunk."""
        c = Cursor(self.chunk(chunk, 4))
        version, own, _, count = c.u(1), c.u(1), c.take(2), c.u(4)
        need(version == 1 and own <= 11 and level in (None, own), "an extent node does not fit")
        for _ in range(count):
            name, offset, length = c.take(32), 0 if own else c.u(4), c.u(8)
            size -= length
            if own:
                yield from self.extents(name, length, own - 1)
            else:
                yield name if any(name) else None, offset, length
        c.end()
        need(not size, "an extent node of a wrong length")

    def content(self, entry):
        """Pieces of a file: bytes, or the length of a hole."""
        whole = entry.content_id and hmac.new(self.k_id, b"entry", "sha256")
        for chunk, offset, length in (self.extents(entry.extents[0][0], entry.size)
                                      if entry.shape & 8 else entry.extents):
            plain = self.chunk(chunk, 1, 2) if chunk else None
            need(not chunk or offset + length <= len(plain), "an extent is too long")
            piece = plain[offset:offset + length] if chunk else length
            if whole:
                whole.update(piece if chunk else bytes(length))
            yield piece
        need(not whole or whole.digest()[:16] == entry.content_id, "its content id does not fit")

    def attributes(self, entry):
        c, found = Cursor(self.chunk(entry.xattr_chunk, 5) if entry.shape & 2 else entry.xattrs), []
        while c.at < len(c.data):
            found.append((c.string(), c.string()))
        return found


def order(path):  # 5: Paths and their order
    return path.replace(b"/", b"\0")


class Entry:  # 5: ENTRIES
    def __init__(self, c, named):
        """Reads one; named[0] is the chunk id that was named last in this leaf."""
        self.type, self.shape, self.flags = c.u(1), c.u(1), c.var()
        need(1 <= self.type <= 6 and self.shape < 16 and self.shape & 3 != 3
             and (self.type == 1 or self.shape < 4), "an entry of an unknown form")
        self.mode, self.uid, self.gid = c.var(), c.var(), c.var()
        need(self.mode <= 0o7777, "a mode of too many bits")
        self.user, self.group = c.string(), c.string()
        self.mtime = c.zigzag() * 10 ** 9 + c.var()
        self.ctime, self.inode, self.link = (c.zigzag(), c.var()), c.var(), c.var()
        self.xattrs = c.string() if self.shape & 1 else b""
        self.xattr_chunk = c.take(32) if self.shape & 2 else None
        self.target = c.string() if self.type == 3 else b""
        self.device = c.var() if self.type in (5, 6) else 0
        self.size = c.var() if self.type == 1 else 0
        self.content_id = c.take(16) if self.shape & 4 else None
        self.extents = []
        for _ in range(c.u(1) if self.type == 1 else 0):
            naming = c.u(1)
            need(naming <= 2 and (naming < 2 or named[0]), "an extent of an unknown naming")
            if naming == 0:
                named[0] = c.take(32)
            self.extents.append((None if naming == 1 else named[0], c.var(), c.var()))
        need(len(self.extents) <= 8 and sum(e[2] for e in self.extents) == self.size,
             "extents do not add up to the size")
        need(not self.shape & 8 or len(self.extents) == 1 and self.extents[0][:2] == (named[0], 0),
             "an extent tree has no root")


# --- restoring: 5: ENTRIES, its end ------------------------------------------

class Folder:
    """An open folder, reached step by step: no link and no long path is in the way."""

    def __init__(self, root, parts):
        self.fd = os.open(root, os.O_DIRECTORY)
        for part in parts:
            above = self.fd
            try:
                os.mkdir(part, dir_fd=above)
            except FileExistsError:
                pass
            self.fd = os.open(part, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)

    def __del__(self):
        os.close(self.fd)


class Restore:
    def __init__(self, repo, snapshot, root):
        self.repo, self.root, self.links, folders = repo, root, {}, []
        os.umask(0o077)
        os.makedirs(root, exist_ok=True)
        need(not os.listdir(root), "the folder to restore into is not empty")
        for path, entry in repo.entries(snapshot):
            attempt(shown(path), self.make, path, entry)
            if entry.type == 2:
                folders.append((path, entry))
        for path, entry in reversed(folders):
            attempt(shown(path), self.metadata, path, entry)

    @functools.lru_cache(maxsize=2)
    def folder(self, path):
        return Folder(self.root, path.split(b"/") if path else ())

    def place(self, path):
        parent, _, name = path.rpartition(b"/")
        return b"/proc/self/fd/%d/%s" % (self.folder(parent).fd, name)

    def make(self, path, e):
        to = self.place(path)
        if e.link in self.links:
            os.link(self.place(self.links[e.link]), to, follow_symlinks=False)
            return
        if e.type == 1:
            self.write(to, e)
        elif e.type == 2:
            os.mkdir(to)
        elif e.type == 3:
            os.symlink(e.target, to)
        else:
            kind = {4: stat.S_IFIFO, 5: stat.S_IFCHR, 6: stat.S_IFBLK}[e.type]
            os.mknod(to, kind | 0o600, e.device)
        if e.link:
            self.links[e.link] = path
        if e.type != 2:
            self.metadata(path, e)

    def write(self, to, e):
        with open(to, "xb") as f:
            try:
                for piece in self.repo.content(e):
                    if isinstance(piece, int):
                        f.seek(piece, os.SEEK_CUR)
                    else:
                        f.write(piece)
                f.truncate(e.size)
            except Bad:
                os.unlink(to)  # no file with wrong bytes stays
                raise

    def metadata(self, path, e):
        to, mode, owner = self.place(path), e.mode, [e.uid, e.gid]
        for i, (look_up, name) in enumerate(((pwd.getpwnam, e.user), (grp.getgrnam, e.group))):
            try:
                owner[i] = look_up(os.fsdecode(name))[2]
            except KeyError:
                pass
        try:
            os.lchown(to, *owner)
        except OSError:
            mode &= 0o1777
        set_attribute = functools.partial(os.setxattr, to, follow_symlinks=False)
        attributes = self.repo.attributes(e)
        for before_mode in (True, False):
            for name, value in attributes:
                if name.startswith(b"user.") == before_mode:
                    attempt(shown(path), set_attribute, name, value)
            if before_mode and e.type != 3:
                os.chmod(to, mode)
        os.utime(to, ns=(e.mtime, e.mtime), follow_symlinks=False)


# --- commands ----------------------------------------------------------------

def moment(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def do_list(repo, _):
    for begun, snapshot, record, state in repo.snapshots():
        print(snapshot, shown(record.get(3)), shown(record.get(1)), moment(begun[0]),
              record.number(10), state)


def do_ls(repo, args):
    for path, e in repo.entries(repo.choose(args.snapshot)):
        mode = stat.filemode(e.mode | {1: stat.S_IFREG, 2: stat.S_IFDIR, 3: stat.S_IFLNK,
                                       4: stat.S_IFIFO, 5: stat.S_IFCHR, 6: stat.S_IFBLK}[e.type])
        print(mode, shown(e.user) or e.uid, shown(e.group) or e.gid, e.size,
              moment(e.mtime // 10 ** 9), shown(path), *["-> " + shown(e.target)] * (e.type == 3))


def do_cat(repo, args):
    entry = repo.find(repo.choose(args.snapshot), os.fsencode(args.path).strip(b"/"))
    need(entry.type == 1, "this is no file")
    for piece in repo.content(entry):
        sys.stdout.buffer.write(bytes(piece) if isinstance(piece, int) else piece)


def do_restore(repo, args):
    Restore(repo, repo.choose(args.snapshot), os.fsencode(args.dir))


def do_log(repo, args):
    for name in repo.target.names["L"]:
        record, plain = repo.log(name)
        if record.get(3) == os.fsencode(args.file):
            sys.stdout.buffer.write(plain)
            return
    raise Bad("no log has a file " + args.file)


def do_verify(repo, _):
    seen, chunks = set(), 0

    def check_tree(record):
        for path, e in repo.entries(record):
            attempt(shown(path), repo.attributes, e)
            if (e.content_id, *e.extents) not in seen:
                seen.add((e.content_id, *e.extents))
                attempt(shown(path), lambda: [None for _ in repo.content(e)])

    for letters, names in repo.target.names.items():
        for name in names:
            if letters in "WX":
                attempt(name, repo.signed, name, "maintenance")
            elif letters == "L":
                attempt(name, repo.log, name)
            elif letters not in "IDGS":  # these are read below or were before
                attempt(name, repo.target.get, name, repo.id)
    repo.read_tails()
    for places in list(repo.table.values()):
        for pack, (entry, record) in places.items():
            attempt(repo.target.packs[pack], repo.open_chunk, pack, entry, record)
            chunks += 1
    counted = [s for s in repo.snapshots() if s[3] in ("committed", "revoked")]
    for _, snapshot, record, _ in counted:
        attempt("snapshot " + snapshot, check_tree, record)
    print("%d objects, %d chunks, %d snapshots, %d problems; %d other files" % (
        sum(map(len, repo.target.names.values())), chunks, len(counted), len(PROBLEMS),
        repo.target.others))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("repo")
    secret = parser.add_mutually_exclusive_group(required=True)
    for option in ("--passphrase-env", "--key-file", "--code-env"):
        secret.add_argument(option)
    parser.add_argument("--no-index", action="store_true")
    parser.add_argument("--no-conf", action="store_true")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, *operands in (("list",), ("ls", "snapshot"), ("cat", "snapshot", "path"),
                            ("restore", "snapshot", "dir"), ("log", "file"), ("verify",)):
        command = commands.add_parser(name)
        for operand in operands:
            command.add_argument(operand)
    args = parser.parse_args()
    try:
        secret = read_secret(args)
        repo = Repository(Target(args.repo), secret, not args.no_index, not args.no_conf)
        globals()["do_" + args.command](repo, args)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except (Bad, OSError, KeyError) as why:
        problem("decode.py", why)
    return 1 if PROBLEMS else 0


if __name__ == "__main__":
    sys.exit(main())
