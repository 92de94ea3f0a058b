# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is promised of each pair of ends, tried. Every record carries a number; a collector's log is read as text."""

import os
import signal
import socket
import struct
import subprocess

from place import (BASE, BIG, KEY, NODE, OTHER_KEY, PORT, PSK, Aggregator, Auditd, AudispRemote, Count, Failure, Remote, listens,
                   record, records, wait_for, write_key)

FEW = 2000
# What is in a killed sender and in its pipe is nobody's: an audisp-remote has no acks to those who feed it.
PIPE = 65536


def counted(collector, first, last, duplicates=0):
    """Once the last of them is there."""
    wanted = collector.line(last)
    wait_for(f"record {last}", lambda: wanted in collector.log())
    count = Count(collector.log(), collector.line)
    count.expect(first, last, duplicates)
    return count


# --- audisp-remote to our aggregator ---

def audisp_remote_to_aggregator(place):
    """In both its modes; what it has told us to be acked is on the disk; EOE it keeps to itself; node= is its address."""
    collector = Aggregator(place)
    collector.start()
    last = 0
    for mode in "immediate", "forward":
        sender = AudispRemote(place, mode)
        sender.start()
        sender.feed(records(last + 1, last + FEW))
        sender.feed(b"type=EOE msg=audit(1700000000.000:1): \n")
        sender.stop()
        last += FEW
        counted(collector, 1, last)
    log = collector.log()
    if log.count(b"node=" + collector.node + b" type=USER ") != last or b"type=EOE" in log:
        raise Failure("node= is not the client's everywhere, or an EOE was sent")


def rounds(collector, sender, kills, strike, twice):
    """Each strikes when some of its records are there. Nothing is lost, and no more than so many are there twice for each."""
    for i in range(kills):
        sender.feed(records(i * FEW + 1, (i + 1) * FEW))
        wait_for("some of them", lambda n=i * FEW + 1: collector.line(n) in collector.log())
        strike()
    sender.feed(records(kills * FEW + 1, (kills + 1) * FEW))
    counted(collector, 1, (kills + 1) * FEW, duplicates=kills * twice)


def audisp_remote_through_kills_of_aggregator(place):
    """Nothing is lost, and each kill costs one duplicate at most."""
    collector = Aggregator(place)
    collector.start()
    sender = AudispRemote(place)
    sender.start()

    def strike():
        collector.kill()
        collector.start()

    rounds(collector, sender, 5, strike, 1)


def audisp_remote_killed(place):
    """In mode forward its queue file brings back what it had taken; what it had not is lost with its pipe."""
    collector = Aggregator(place)
    collector.start()
    sender = AudispRemote(place, "forward")
    sender.start()
    sender.feed(records(1, FEW))
    wait_for("some of them", lambda: collector.line(1) in collector.log())
    sender.kill()
    sender.start()
    sender.feed(records(FEW + 1, 2 * FEW))
    wait_for("the last", lambda: collector.line(2 * FEW) in collector.log())
    count = Count(collector.log(), collector.line)
    lost = FEW - len([n for n in range(1, FEW + 1) if n in count.present])
    if lost * len(record(1)) > 2 * PIPE or count.duplicated > 1 or count.strange or not count.ordered:
        raise Failure(f"{lost} lost, {count.duplicated} twice, {count.strange}")
    if any(n not in count.present for n in range(FEW + 1, 2 * FEW + 1)):
        raise Failure("of what it was given afterwards something is missing")


def audisp_remote_and_full_disk(place):
    """It is told, keeps what was not stored, and goes on by itself when there is room: all is there, no more than one record
    twice for each time that it came back."""
    collector = Aggregator(place, disk="24m")
    collector.start()
    sender = AudispRemote(place, heartbeat_timeout=1)
    sender.start()
    sender.feed(records(BIG + 1, BIG + 100))
    counted(collector, BIG + 1, BIG + 100)
    collector.fill()
    sender.feed(records(BIG + 101, BIG + FEW))
    wait_for("disk_full", lambda: collector.condition("disk_full"))
    wait_for("a refusal", lambda: collector.counter("stock_requests_refused_total"))
    if not sender.lives():
        raise Failure("audisp-remote has ended")
    collector.free()
    wait_for("the end of disk_full", lambda: not collector.condition("disk_full"))
    # It comes back with its next heartbeat.
    counted(collector, BIG + 1, BIG + FEW, duplicates=int(collector.counter("stock_accepted_total")))


def aggregator_ends_in_order(place):
    """ENDING makes an audisp-remote come back: nothing is lost or twice."""
    collector = Aggregator(place)
    collector.start()
    sender = AudispRemote(place)
    sender.start()
    sender.feed(records(1, FEW))
    counted(collector, 1, FEW)
    collector.stop()
    collector.start()
    sender.feed(records(FEW + 1, 2 * FEW))
    counted(collector, 1, 2 * FEW)


# --- By hand: what no audisp-remote sends ---

HEADER = struct.Struct("<IBBIHI")
MAGIC = 0xff0000fe
MESSAGE, HEARTBEAT, ACK = 0, 1, 0x40000000


def frame(kind, seq, payload=b""):
    return HEADER.pack(MAGIC, 0, 0, kind, len(payload), seq) + payload


def connect():
    return socket.create_connection(("127.0.0.1", PORT), timeout=20)


def reply(client):
    data = b""
    while len(data) < HEADER.size:
        chunk = client.recv(HEADER.size - len(data))
        if not chunk:
            return None
        data += chunk
    _, _, _, kind, size, seq = HEADER.unpack(data)
    return kind, seq, client.recv(size, socket.MSG_WAITALL) if size else b""


def frames_by_hand(place):
    """A window of records is acked in order; a foreign node= stands, as nobody is authenticated; LF and NUL become blanks; what is no
    record is stored escaped; what is no frame ends that connection and no other."""
    collector = Aggregator(place)
    collector.start()
    with connect() as client, connect() as other:
        client.sendall(b"".join(frame(MESSAGE, n, record(n)) for n in range(1, 201)))
        for n in range(1, 201):
            if reply(client) != (ACK, n, b""):
                raise Failure(f"record {n} was not acked in its turn")
        counted(collector, 1, 200)
        texts = {b"node=db7 type=USER msg=audit(1.000:1): op=foreign\n": b"node=db7 type=USER msg=audit(1.000:1): op=foreign\n",
                 b"type=USER msg=audit(1.000:2): op=lines a\ntype=FORGED b\0c\n":
                     b"node=127.0.0.1 type=USER msg=audit(1.000:2): op=lines a type=FORGED b c\n",
                 b"type=EOE msg=audit(1.000:3): \n": b"node=127.0.0.1 type=EOE msg=audit(1.000:3): \n",
                 b"type=USER msg=audit(1.000:4): op=long pad=" + b"y" * 12000:
                     b"node=127.0.0.1 type=USER msg=audit(1.000:4): op=long pad=" + b"y" * 12000 + b"\n",
                 b"hello\n": b' op=relay-refused fault="no\\x20audit\\x20record" ',
                 b"z" * 40000: b" size=40000 "}
        for n, (text, stored) in enumerate(texts.items(), 1000):
            client.sendall(frame(MESSAGE, n, text))
            if reply(client) != (ACK, n, b"") or stored not in collector.log():
                raise Failure(f"{text[:60]!r} was not acked, or not stored as {stored[:60]!r}")
        client.sendall(frame(HEARTBEAT, 5000))
        if reply(client) != (ACK, 5000, b""):
            raise Failure("a heartbeat was not acked")
        other.sendall(record(9999))
        if reply(other) is not None:
            raise Failure("a line without a frame was answered")
        client.sendall(frame(MESSAGE, 6000, record(201)))
        if reply(client) != (ACK, 6000, b""):
            raise Failure("another client's bad framing cost this one something")
    counted(collector, 1, 201)


def foreign_address(place):
    """A network that AuditdAllow= does not name is turned away without an answer."""
    collector = Aggregator(place, "AuditdAllow=\nAuditdAllow=192.0.2.0/24 2001:db8::/32\n")
    collector.start()
    with connect() as client:
        try:
            client.sendall(frame(HEARTBEAT, 1))
            if reply(client) is not None:
                raise Failure("it was answered")
        except ConnectionResetError:
            pass
    wait_for("the counter", lambda: collector.counter("stock_addresses_refused_total") == 1)


# --- Our remote to auditd ---

STOCK = f"Protocol=auditd\nCollector=127.0.0.1:{PORT}\n"
# So that no heartbeat's reply is what makes it send.
WITHOUT_BEATS = "NetworkTimeout=10min\n"
WINDOW = 64


def acked(sender, n):
    wait_for(f"{n} acked", lambda: (sender.counter("acked_seq") or 0) >= n)


def stock_pair(place, settings):
    collector, sender = Auditd(place, node=NODE), Remote(place, settings)
    collector.start()
    sender.start()
    return collector, sender


def remote_to_auditd(place):
    """Each record once; EOE is left out, a line that is too long is cut at a field, both counted; the status says what the ack is."""
    collector, sender = stock_pair(place, STOCK + WITHOUT_BEATS)
    long = b"type=USER msg=audit(1700000000.000:1): op=long a=" + b"a" * 5000 + b" b=" + b"b" * 3800 + b" c=" + b"c" * 300
    sender.feed(records(1, FEW) + b"type=EOE msg=audit(1700000000.000:1): \n" + long + b"\n")
    sender.feed(records(FEW + 1, 2 * FEW))
    counted(collector, 1, 2 * FEW)
    acked(sender, 2 * FEW + 2)
    log = collector.log()
    if f"node={NODE} ".encode() + long[:long.index(b" c=")] + b"\n" not in log or b"type=EOE" in log:
        raise Failure("the long line is not cut at its field, or an EOE was sent")
    if sender.counter("stock_eoe_skipped_total") != 1 or sender.counter("stock_lines_cut_total") != 1:
        raise Failure("EOE and the cut line are not counted")
    if sender.counter("stock_records_sent_total") != 2 * FEW + 1:
        raise Failure("more was sent than there is")


def remote_through_kills_of_auditd(place):
    """Nothing is lost, and no more than a window is there twice for each connection."""
    collector, sender = stock_pair(place, STOCK)

    def strike():
        collector.kill()
        wait_for("network_down", lambda: sender.condition("network_down"))
        collector.start()

    rounds(collector, sender, 4, strike, WINDOW)
    wait_for("the end of network_down", lambda: not sender.condition("network_down"))


def remote_killed_before_auditd(place):
    """The store brings back what was not acked: nothing is lost, and no more than a window is there twice for each kill."""
    collector, sender = stock_pair(place, STOCK)

    def strike():
        sender.kill()
        sender.start()

    rounds(collector, sender, 5, strike, WINDOW)


def auditd_ends_in_order(place):
    """ENDING is the condition collector_ending until it is back."""
    collector, sender = stock_pair(place, STOCK)
    sender.feed(records(1, FEW))
    acked(sender, FEW)
    collector.stop()
    wait_for("a condition", lambda: sender.condition("collector_ending") or sender.condition("network_down"))
    sender.feed(records(FEW + 1, 2 * FEW))
    collector.start()
    counted(collector, 1, 2 * FEW)
    wait_for("the ends of the conditions", lambda: not sender.condition("collector_ending") and not sender.condition("network_down"))


def auditd_does_not_answer(place):
    """A collector that hangs is the condition network_timeout; when it goes on all is there, and what it had and did not say twice."""
    collector, sender = stock_pair(place, STOCK + "NetworkTimeout=1s\n")
    sender.feed(records(1, FEW))
    acked(sender, FEW)
    collector.process.send_signal(signal.SIGSTOP)
    sender.feed(records(FEW + 1, 2 * FEW))
    wait_for("network_timeout", lambda: sender.condition("network_timeout"))
    collector.process.send_signal(signal.SIGCONT)
    counted(collector, 1, 2 * FEW, duplicates=int(sender.counter("disconnects_total") + 1) * WINDOW)
    wait_for("the end of network_timeout", lambda: not sender.condition("network_timeout"))


def remote_by_stock_protocol_and_full_disk(place):
    """Both ends ours, by the stock protocol: a full disk is collector_disk_full, and when there is room all goes on by itself."""
    collector, sender = Aggregator(place, disk="24m", node=NODE), Remote(place, STOCK)
    collector.start()
    sender.start()
    sender.feed(records(BIG + 1, BIG + 100))
    counted(collector, BIG + 1, BIG + 100)
    collector.fill()
    sender.feed(records(BIG + 101, BIG + FEW))
    wait_for("collector_disk_full", lambda: sender.condition("collector_disk_full"))
    collector.free()
    counted(collector, BIG + 1, BIG + FEW, duplicates=int(sender.counter("connects_total") or 0) * WINDOW)
    wait_for("the end of collector_disk_full", lambda: not sender.condition("collector_disk_full"))


# --- TLS with pre-shared keys, as 4.2 has it ---

# What 4.2 sets in OpenSSL, of which both our ends use a part. The first group is none of ours, as the first of a newer OpenSSL's
# is not (X25519MLKEM768): our collector asks for a second hello.
SUITES = ["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384", "-groups", "P-384:X25519"]


def psk_between_our_ends(place):
    """The identity is the node: its records are stored, those that name another are escaped. A client without the key is told
    nothing, and one that loses it by a reload loses its connection."""
    write_key(f"{BASE}/keys/{NODE}.psk", KEY)
    write_key(f"{BASE}/key", OTHER_KEY)
    collector, sender = Aggregator(place, f"AuditdPSKDirectory={BASE}/keys\n", node=NODE), Remote(place, STOCK + PSK)
    collector.start()
    sender.start()
    sender.feed(records(1, FEW))
    wait_for("tls_refused", lambda: sender.condition("tls_refused"))
    if collector.log():
        raise Failure("something is stored")
    write_key(f"{BASE}/key", KEY)
    counted(collector, 1, FEW)
    wait_for("the end of tls_refused", lambda: not sender.condition("tls_refused"))
    os.unlink(f"{BASE}/keys/{NODE}.psk")
    os.kill(collector.program.pid, signal.SIGHUP)
    wait_for("tls_refused", lambda: sender.condition("tls_refused"))
    sender.feed(records(FEW + 1, 2 * FEW))
    write_key(f"{BASE}/keys/{NODE}.psk", KEY)
    os.kill(collector.program.pid, signal.SIGHUP)
    counted(collector, 1, 2 * FEW, duplicates=WINDOW)
    collector.kill()
    collector.start()
    sender.feed(records(2 * FEW + 1, 3 * FEW))
    counted(collector, 1, 3 * FEW, duplicates=2 * WINDOW)


def openssl_to_aggregator(place):
    """OpenSSL with the settings of 4.2's client, and the frames that were captured of it."""
    write_key(f"{BASE}/keys/h1.psk", KEY)
    collector = Aggregator(place, f"AuditdPSKDirectory={BASE}/keys\n")
    collector.start()
    command = ["openssl", "s_client", "-quiet", *SUITES, "-connect", f"127.0.0.1:{PORT}", "-psk_identity", "h1", "-psk"]
    with subprocess.Popen([*command, KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        try:
            client.stdin.write(frame(MESSAGE, 2, record(1)) + frame(MESSAGE, 3, b"node=impostor " + record(2)) + frame(HEARTBEAT, 8))
            client.stdin.flush()
            answer = client.stdout.read(3 * HEADER.size)
        finally:
            client.kill()
    if answer != frame(ACK, 2) + frame(ACK, 3) + frame(ACK, 8):
        raise Failure(f"answered {answer.hex()}")
    log = collector.log()
    if b"node=h1 " + record(1) not in log or b'op=relay-refused fault="foreign\\x20node" peer=h1 ' not in log:
        raise Failure(f"stored {log!r}")
    refused = subprocess.run([*command, OTHER_KEY], input=frame(MESSAGE, 2, record(3)), capture_output=True, timeout=20, check=False)
    if refused.stdout or b" n=3 " in collector.log():
        raise Failure("another key is taken")


def remote_to_openssl(place):
    """OpenSSL with the settings of 4.2's collector."""
    write_key(f"{BASE}/key", KEY)
    sender = Remote(place, STOCK + PSK)
    command = ["openssl", "s_server", "-quiet", "-nocert", *SUITES, "-accept", f"127.0.0.1:{PORT}", "-psk_identity", NODE, "-psk", KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for("openssl listening", lambda: listens(PORT))
            sender.start()
            sender.feed(records(1, 10))
            got, answered = [], 0
            while len(got) < 10:
                _, _, _, kind, size, seq = HEADER.unpack(server.stdout.read(HEADER.size))
                payload = server.stdout.read(size)
                got += [payload] if kind == MESSAGE else []
                server.stdin.write(frame(ACK, seq))
                server.stdin.flush()
                answered += 1
            acked(sender, 10)
        finally:
            server.kill()
    if got != [b"node=" + NODE.encode() + b" " + record(n) for n in range(1, 11)] or answered < 11:
        raise Failure(f"sent {got}")


# --- TLS of 4.2 itself; these need its programs ---

def audisp_remote_with_another_key(place):
    """It is refused, keeps its records, and delivers them with the right one, which it reads at SIGHUP and uses with the next record."""
    write_key(f"{BASE}/key", OTHER_KEY)
    collector, sender = Aggregator(place), AudispRemote(place, network_failure_action="syslog", heartbeat_timeout=1)
    collector.start()
    sender.start()
    sender.feed(records(1, FEW))
    wait_for("a refusal", lambda: collector.counter("stock_handshakes_failed_total"))
    if collector.log():
        raise Failure("something is stored")
    write_key(f"{BASE}/key", KEY)
    sender.process.send_signal(signal.SIGHUP)
    sender.feed(records(FEW + 1, 2 * FEW))
    counted(collector, 1, 2 * FEW)


def remote_with_another_key(place):
    """Nothing arrives before it has the right one: tls_refused, unless auditd takes the alert with it. (4.2.2 with OpenSSL 3.0 dies of a
    handshake that fails: it is started again.)"""
    write_key(f"{BASE}/ours", OTHER_KEY)
    collector, sender = stock_pair(place, f"{STOCK}AuditdPSKFile={BASE}/ours\n")
    sender.feed(records(1, FEW))
    wait_for("a refusal", lambda: sender.condition("tls_refused") or collector.process.poll() is not None)
    if b"op=interop" in collector.log():
        raise Failure("something is stored")
    collector.kill()
    collector.start()
    write_key(f"{BASE}/ours", KEY)
    counted(collector, 1, FEW)
    wait_for("the end of tls_refused", lambda: not sender.condition("tls_refused"))


# --- audisp-remote to auditd ---

def audisp_remote_to_auditd(place):
    """The cell without us: in both its modes all records are there once."""
    collector = Auditd(place)
    collector.start()
    last = 0
    for mode in "immediate", "forward":
        sender = AudispRemote(place, mode)
        sender.start()
        sender.feed(records(last + 1, last + FEW))
        sender.stop()
        last += FEW
        counted(collector, 1, last)


STOCK_TO_US = [audisp_remote_to_aggregator, audisp_remote_through_kills_of_aggregator, audisp_remote_killed, audisp_remote_and_full_disk,
               aggregator_ends_in_order]
US_TO_STOCK = [remote_to_auditd, remote_through_kills_of_auditd, remote_killed_before_auditd, auditd_ends_in_order,
               auditd_does_not_answer, remote_by_stock_protocol_and_full_disk]
ALL = [*STOCK_TO_US, frames_by_hand, foreign_address, *US_TO_STOCK, psk_between_our_ends, openssl_to_aggregator, remote_to_openssl,
       audisp_remote_to_auditd]
BY_PSK = [*STOCK_TO_US, audisp_remote_with_another_key, *US_TO_STOCK, remote_with_another_key, audisp_remote_to_auditd]
