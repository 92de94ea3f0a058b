# SPDX-License-Identifier: LGPL-2.1-or-later
"""Local users who mean harm: without the groups none can connect, a reader can only read, and a producer can neither pose as the kernel,
nor take more than a part, nor hold the ring, nor keep others out.

Each user's deeds are those of a process with his ids alone, on the sockets as the units made them.
"""

import contextlib
import json
import os
import select
import socket
import time

from harness.machine import until
from harness.readers import readers_connected
from harness.records import records
from harness.relay import DISPATCHER, REMOTE

SOCKETS = "/run/audit-relay"
MIB = 1 << 20
RATE = 4 * MIB  # ProducerRate=
CONNECTIONS = 64  # ProducersPerUser=
RING = 64 * MIB
ANY_RATE = "/etc/audit-relay/dispatcher.conf.d/any-rate.conf"
PATIENCE_SEC = 60
FORGED = [b"type=SYSCALL msg=audit(1700000000.000:1): arch=c000003e syscall=59 uid=0 forged=plain-%s\n",
          b"type=UNKNOWN[1300] msg=audit(1700000000.000:2): forged=number-%s\n",
          b"type=DAEMON_ERR msg=audit(1700000000.000:3): op=relay-gap where=kernel lost=9 forged=gap-%s\n",
          b"type=EOE msg=audit(1700000000.000:4): forged=end-%s\n"]
FLOOD = b"type=USER msg=audit(1700000000.000:5): op=flood %s\n" % (b"x" * 1000) * 200


def start_as(host, ids, deed, *arguments):
    """deed(*arguments) in a process that is this user, in the sockets' directory; returns what result_of() wants."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.chdir(host.path(SOCKETS))
            os.setgroups(ids["groups"])
            os.setresgid(ids["gid"], ids["gid"], ids["gid"])
            os.setresuid(ids["uid"], ids["uid"], ids["uid"])
            os.write(writer, json.dumps(deed(*arguments)).encode())
        os._exit(0)
    os.close(writer)
    return deed, child, reader


def result_of(started):
    """What the deed returned, once it does."""
    deed, child, reader = started
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    assert text, f"{deed.__name__} failed"
    return json.loads(text)


def as_user(host, ids, deed, *arguments):
    return result_of(start_as(host, ids, deed, *arguments))


def make_user(host, name, *groups):
    host.sh(["useradd", "--no-create-home", *(["--groups", ",".join(groups)] if groups else []), name])
    return {"uid": int(host.sh(["id", "-u", name])), "gid": int(host.sh(["id", "-g", name])),
            "groups": [int(n) for n in host.sh(["id", "-G", name]).split()]}


def connect(name):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(name)
    return s


# --- Deeds ---

def try_all(names):
    """Which of the sockets he gets into."""
    got = []
    for name in names:
        with contextlib.suppress(PermissionError):
            connect(name).close()
            got.append(name)
    return got


def read_and_write_lines(tag):
    """Writes to the socket of lines, and reads what comes, up to the mark."""
    s = connect("lines")
    s.settimeout(PATIENCE_SEC)
    with connect("lines") as writer, contextlib.suppress(OSError):
        writer.sendall(b"type=USER msg=audit(1700000000.000:1): op=by-reader\n")
    seen = b""
    while tag.encode() not in seen:
        seen += s.recv(65536)
    return True


def write_lines(lines):
    s = connect("input")
    s.sendall("".join(lines).encode("latin-1"))
    return True


def is_open(s):
    try:
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def count_open(n, most):
    """Opens n connections; returns how many of them are left open when there are no more than `most` and nobody is cut off any more."""
    held = [connect("input") for _ in range(n)]
    end = time.monotonic() + PATIENCE_SEC
    for s in held:
        s.setblocking(False)
    while len(held) > most and time.monotonic() < end:
        held = [s for s in held if is_open(s)]
    time.sleep(0.3)
    return sum(is_open(s) for s in held)


def flood(connections, told):
    """Writes as fast as it goes until something can be read from `told`; returns how many bytes it got rid of, and in how many seconds."""
    sockets = [connect("input") for _ in range(connections)]
    rest = [b""] * connections
    done, begin = 0, time.monotonic()
    for s in sockets:
        s.setblocking(False)
    while not select.select([told], [], [], 0)[0]:
        idle = True
        for i, s in enumerate(sockets):
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                rest[i] = rest[i] or FLOOD
                n = s.send(rest[i])
                rest[i] = rest[i][n:]
                done += n
                idle = False
        if idle:
            time.sleep(0.01)
    return done, time.monotonic() - begin


# --- The story ---

def send_as(t, user, lines):
    """audit-relay send in the container: it is acked."""
    groups = ",".join(map(str, user["groups"]))
    t.client.sh(["setpriv", f"--reuid={user['uid']}", f"--regid={user['gid']}", f"--groups={groups}", "audit-relay", "send"], data=lines)


def beside_flood(t, user, connections, deed):
    """deed() while he floods; returns what flood() did."""
    told, tell = os.pipe()
    flooding = start_as(t.client, user, flood, connections, told)
    try:
        deed()
    finally:
        os.write(tell, b".")
        result = result_of(flooding)
        os.close(told)
        os.close(tell)
    return result


def forge(t, eve):
    plain = [line % b"lines" for line in FORGED]
    assert as_user(t.client, eve, write_lines, [line.decode() for line in plain])
    send_as(t, eve, b"".join(line % b"link" for line in FORGED) + b"type=USER_CMD msg=audit(1700000000.000:9): op=honest-eve\n")
    t.expect_others("op=honest-eve")
    until(lambda: t.stored_since().count(b"forged") >= 2 * len(FORGED), "what was forged is at the collector, quoted")
    for line in t.stored_since().splitlines():
        if b"forged" in line:
            assert b" type=DAEMON_ERR " in line and b"op=relay-refused" in line, line
            assert b'fault="type\\x20not\\x20allowed"' in line and str(eve["uid"]).encode() in line, line
    # Root may: it can do worse.
    t.send(b"type=SYSCALL msg=audit(1700000000.000:7): from=root\n")
    t.expect_others("type=SYSCALL .*from=root")


def take_all_places(t, eve, alice):
    before = t.counter("dispatcher", "producers_turned_away")
    assert as_user(t.client, eve, count_open, CONNECTIONS + 40, CONNECTIONS) == CONNECTIONS
    t.expect_counter("dispatcher", "producers_turned_away", before + 40)


def take_all_time(t, eve, alice):
    """A flood, and beside it somebody who has something to say."""
    before = t.counter("dispatcher", "producers_waited")

    def speak():
        for number in range(5):
            send_as(t, alice, records(100, f"beside-flood-{number}"))
        t.expect_counter("dispatcher", "producers_waited", before + 1)

    taken, seconds = beside_flood(t, eve, 4, speak)
    # What eve's sockets hold on top of a second's worth.
    assert taken <= RATE * (seconds + 1) + 4 * MIB, f"{taken} bytes in {seconds} s"
    until(lambda: t.stored_since().count(b"op=beside-flood-") >= 500, "alice's records")


def hold_the_ring(t, eve, alice):
    """remote is away, so all that comes stays: eve gets her share, however fast she may be, and alice is still acked."""
    t.client.systemctl("stop", "audit-relay-remote.socket", REMOTE)
    t.client.write(ANY_RATE, "[Dispatcher]\nProducerRate=0\n")
    t.client.systemctl("restart", DISPATCHER)

    def speak():
        until(lambda: t.counter("dispatcher", "ring_used_bytes") >= RING / 8, "eve's share of the ring is held")
        send_as(t, alice, records(1000, "beside-held-ring"))
        used = t.counter_settled("dispatcher", "ring_used_bytes")
        assert RING / 8 <= used < RING / 4, f"{used} bytes of the ring are held"

    beside_flood(t, eve, 16, speak)
    t.client.systemctl("start", "audit-relay-remote.socket", REMOTE)
    until(lambda: t.stored_since().count(b"op=beside-held-ring") >= 1000, "alice's records")
    until(lambda: t.counter("dispatcher", "ring_used_bytes") == 0, "the ring is empty")
    t.client.remove(ANY_RATE)
    t.client.systemctl("restart", DISPATCHER)


def story(t):
    t.client.systemctl("start", "audit-relay-dispatcher-lines.socket", "audit-relay-dispatcher-subscribe.socket")
    names = ["input", "lines", "subscribe", "remote"]
    mallory, reader = make_user(t.client, "mallory"), make_user(t.client, "reader", "audit-relay-read")
    eve, alice = make_user(t.client, "eve", "audit-relay"), make_user(t.client, "alice", "audit-relay")

    assert as_user(t.client, mallory, try_all, names) == []
    assert as_user(t.client, reader, try_all, names) == ["lines", "subscribe"]
    assert as_user(t.client, eve, try_all, names) == ["input"]

    t.send(records(10, "for-the-reader"))
    reading = start_as(t.client, reader, read_and_write_lines, "op=mark")
    readers_connected(t, "lines", 1)
    t.send(records(1, "mark"))
    assert result_of(reading)
    t.expect_others("op=mark")
    assert b"by-reader" not in t.stored_since(), "a reader has written"

    forge(t, eve)
    take_all_places(t, eve, alice)
    take_all_time(t, eve, alice)
    hold_the_ring(t, eve, alice)
    after = records(10, "after-all")
    t.send(after)
    t.expect_others("op=after-all n=10")
    t.client.sh("for user in mallory reader eve alice; do userdel $user; done")
