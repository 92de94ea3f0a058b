# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what is the groups' business: without them nobody connects; who may read can only read.

A user of no group cannot connect to any socket. One in audit-relay-read reads at both, and can send records at none: a BATCH ends the
session, text at `lines` is nothing, `input` does not let him in.
"""

import os
import socket

from harness.frames import find_bye, frame
from harness.machine import until
from harness.readers import Place, Socat, readers_connected
from harness.records import records

NOBODY = 65534
SOCKETS = "input", "subscribe", "lines", "remote"


def as_user(groups, action):
    """Runs action() in a process of that user; returns what it returned, a text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(write, action().encode())
        except BaseException as error:  # noqa: BLE001 (the other side tells)
            os.write(write, f"failed: {error!r}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        text = file.read().decode()
    os.waitpid(pid, 0)
    return text


def what_lets_in(place):
    answers = []
    for name in SOCKETS:
        try:
            place.connect(name).close()
            answers.append(name)
        except PermissionError:
            pass
    return " ".join(answers)


def send_batch(place):
    with place.connect("subscribe") as s:
        s.settimeout(20)
        s.sendall(frame("hello-subscriber") + frame("batch-records"))
        s.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := s.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
    return repr(find_bye(answer))


def send_line(place):
    with place.connect("lines") as s:
        s.sendall(b"type=USER msg=audit(1.000:1): pid=1 uid=0 auid=0 ses=1 msg='op=forged'\n")
    return "sent"


def story(t):
    place = Place(t.client, "/run/audit-relay")
    reading = int(t.client.sh(["getent", "group", "audit-relay-read"]).split(":")[2])
    for name in "subscribe", "lines":
        mode = t.client.sh(["stat", "--format=%a %G", f"/run/audit-relay/{name}"]).strip()
        assert mode == "660 audit-relay-read", mode
    assert as_user([], lambda: what_lets_in(place)) == ""
    found = as_user([reading], lambda: what_lets_in(place))
    assert found == "subscribe lines", found
    found = as_user([reading], lambda: send_batch(place))
    assert "unexpected BATCH" in found, found
    assert as_user([reading], lambda: send_line(place)) == "sent"
    readers_connected(t, "lines", 0)

    # He reads: what he gets is what everybody gets, and nothing of his has arrived.
    with Socat(t) as reader:
        until(lambda: t.counter("dispatcher", "pull_clients") == 1, "a reader")
        lines = records(20, "for-readers")
        t.send(lines)
        t.expect_stored(lines)
        until(lambda: b"for-readers n=20" in reader.found(), "the records as text")
        assert b"forged" not in reader.found()
    readers_connected(t, "lines", 0)
