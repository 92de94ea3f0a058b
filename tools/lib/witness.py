#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An independent witness of what the kernel sends: reads audit by multicast and shares no code with the programs.

    witness.py probe                     says "unicast", "multicast" or why there is no kernel audit (exit status 1)
    witness.py state                     prints enabled, pid, backlog_limit and lost of kernel audit
    witness.py enable 0|1                switches kernel audit
    witness.py mark TEXT                 sends an AUDIT_USER message
    witness.py watch FILE                writes each message as "SERIAL TYPE TEXT" until SIGTERM; exit status 1 if it overran
    witness.py compare FILE LOG NODE A B compares FILE with a collector's LOG between the marks A and B
    witness.py compare-sample FILE LOG NODE
                                         the same for a file of audit lines that was played, without marks
"""

import ctypes
import errno
import hashlib
import os
import random
import re
import signal
import socket
import struct
import sys

NETLINK_AUDIT = 9
AUDIT_GET, AUDIT_SET, AUDIT_USER = 1000, 1001, 1005
AUDIT_STATUS_ENABLED = 1
SO_RCVBUFFORCE = 33
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2


def open_audit():
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_AUDIT)


def request(kind, payload=b""):
    """Sends one request and waits for its ack; returns the payload of the reply to AUDIT_GET."""
    with open_audit() as s:
        # The kernel would choose our pid as the port, which may be the one of a registered socket that we have closed: then this
        # one would be taken for the audit daemon's, alive.
        s.bind((random.getrandbits(30) | 1 << 30, 0))
        s.settimeout(30)
        s.sendto(struct.pack("=IHHII", 16 + len(payload), kind, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + payload, (0, 0))
        reply, acked = None, False
        while not acked or (kind == AUDIT_GET and reply is None):
            data = s.recv(16384)
            got = struct.unpack_from("=H", data, 4)[0]
            if got == NLMSG_ERROR:
                error = -struct.unpack_from("=i", data, 16)[0]
                # Positive is a result: AUDIT_SET answers so with a count that it reset.
                if error > 0:
                    raise OSError(error, os.strerror(error))
                acked = True
            elif got == kind:
                reply = data[16:]
        return reply


def status():
    names = ("mask", "enabled", "failure", "pid", "rate_limit", "backlog_limit", "lost", "backlog")
    return dict(zip(names, struct.unpack_from("=8I", request(AUDIT_GET))))


def enable(on):
    request(AUDIT_SET, struct.pack("=II", AUDIT_STATUS_ENABLED, on) + bytes(40 - 8))


def join(s):
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
    s.bind((0, 0))
    s.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 1)


def probe():
    try:
        with open_audit() as s:
            join(s)
    except OSError as e:
        print(f"kernel audit cannot be read here: {e.strerror}")
        return 1
    try:
        state = status()
    except OSError as e:
        print(f"kernel audit cannot be controlled here: {e.strerror}")
        return 1
    print("unicast" if state["pid"] == 0 else "multicast")
    return 0


def watch(path):
    """Keeps raw messages in memory and formats them at the end: while events come, only reading counts."""
    s = open_audit()
    join(s)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    s.settimeout(0.2)
    messages, overrun = [], False
    open(path, "wb").close()
    while True:
        try:
            messages.append(s.recv(16384))
        except socket.timeout:
            if stop:
                break
        except OSError as e:
            if e.errno == errno.ENOBUFS:
                overrun = True
            elif e.errno != errno.EINTR:
                raise
    with open(path, "wb") as out:
        for m in messages:
            kind = struct.unpack_from("=H", m, 4)[0]
            text = m[16:].split(b"\0", 1)[0] if m.endswith(b"\0") else m[16:]
            found = re.match(rb"audit\(\d+\.\d+:(\d+)\): ?", text)
            if found:
                text = text.replace(b"\n", b" ").replace(b"\r", b" ")
                out.write(b"%s %d %s\n" % (found.group(1), kind, text))
    if overrun:
        print("the witness overran: what the kernel sent is not known", file=sys.stderr)
    return 1 if overrun else 0


def type_numbers():
    """Record type numbers by name, as libaudit has them; the reverse of what the dispatcher writes."""
    lib = ctypes.CDLL("libaudit.so.1")
    lib.audit_name_to_msg_type.argtypes = [ctypes.c_char_p]
    known = {}

    def number(name):
        if name not in known:
            unknown = re.fullmatch(rb"UNKNOWN\[(\d+)\]", name)
            known[name] = int(unknown.group(1)) if unknown else lib.audit_name_to_msg_type(name)
        return known[name]

    return number


def between(lines, first, last):
    """The (serial, type, text) after the one that holds `first` and before the one that holds `last`."""
    inside, found = False, []
    for line in lines:
        if first in line[2]:
            inside = True
        elif last in line[2]:
            return found
        elif inside:
            found.append(line)
    raise SystemExit(f"the mark {(last if inside else first).decode()} is missing")


def read_witness(path):
    with open(path, "rb") as f:
        for line in f:
            serial, kind, text = line.rstrip(b"\n").split(b" ", 2)
            yield int(serial), int(kind), text


def segments(log):
    """The text files of a store, oldest first."""
    return sorted(os.path.join(log, n) for n in os.listdir(log) if re.fullmatch(r"\d{20}\.log", n))


def read_log(paths, node):
    number = type_numbers()
    pattern = re.compile(rb"node=(\S+) type=(\S+) msg=(audit\(\d+\.\d+:(\d+)\): ?.*)\n", re.S)
    for path in paths:
        with open(path, "rb") as f:
            for line in f:
                found = pattern.fullmatch(line)
                # DAEMON_… are words of our own, of what the kernel lost before we came for example: no kernel sent them.
                if found and found.group(1) == node and not found.group(2).startswith(b"DAEMON_"):
                    yield int(found.group(4)), number(found.group(2)), found.group(3)


def digest(records):
    sums = hashlib.sha256()
    for serial, kind, text in records:
        sums.update(b"%d %d %s\n" % (serial, kind, text))
    return sums.hexdigest()


def compare(witnessed, log, node, first, last):
    sent = sorted(between(read_witness(witnessed), first.encode(), last.encode()))
    stored = sorted(between(read_log(segments(log), node.encode()), first.encode(), last.encode()))
    return verdict("kernel sent", sent, stored)


def compare_sample(sample, log, node):
    with open(sample, "rb") as f:
        sent = sorted(f)
    prefix = b"node=" + node.encode() + b" "
    stored = []
    for path in segments(log):
        with open(path, "rb") as f:
            stored += [line[len(prefix):] for line in f if line.startswith(prefix) and b"op=demo-" not in line]
    return verdict("the sample has", [(0, 0, line) for line in sent], [(0, 0, line) for line in sorted(stored)])


def verdict(what, sent, stored):
    missing = len(set(sent) - set(stored))
    print(f"witness   SHA-256 {digest(sent)}")
    print(f"collector SHA-256 {digest(stored)}")
    for label, extra in (("only the witness has", set(sent) - set(stored)), ("only the collector has", set(stored) - set(sent))):
        for serial, kind, text in sorted(extra)[:3]:
            print(f"{label} {serial} {kind} {text[:120].decode(errors='replace')}")
    print(f"{what} {len(sent)} records, collector has {len(stored)}, missing {missing}")
    return 0 if sent == stored and sent else 1


def main(argv):
    verb = argv[1] if len(argv) > 1 else ""
    if verb == "probe":
        return probe()
    if verb == "state":
        print(" ".join(f"{k}={v}" for k, v in status().items() if k in ("enabled", "pid", "backlog_limit", "lost")))
        return 0
    if verb == "enable":
        enable(int(argv[2]))
        return 0
    if verb == "mark":
        request(AUDIT_USER, argv[2].encode() + b"\0")  # the kernel takes the last byte off
        return 0
    if verb == "watch":
        return watch(argv[2])
    if verb == "compare":
        return compare(*argv[2:7])
    if verb == "compare-sample":
        return compare_sample(*argv[2:5])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
