# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is kept and for how long: at the collector by size and by age, at the client what is acked for its time (KeepAcked=).

Whole oldest segments go, each told by an entry; what is left is all that was sent behind them, and verifies. By age they go though
nothing more comes.
"""

from harness.index import ACKED, AGE, SIZE, Index
from harness.machine import steady, until
from harness.records import as_stored, records
from harness.relay import AGGREGATOR, LOG, REMOTE, SPOOL

USE_MAX = 1 << 20
PARTS, PART = 8, 1000
COLLECTOR_CONF = "/etc/audit-relay/aggregator.conf.d/50-retention.conf"
CLIENT_CONF = "/etc/audit-relay/remote.conf.d/50-retention.conf"


def configure(t, collector, client):
    t.collector.write(COLLECTOR_CONF, f"[Aggregator]\nSegmentMaxSize=1M\n{collector}\n")
    t.client.write(CLIENT_CONF, f"[Remote]\nSegmentMaxSize=1M\n{client}\n")
    for unit in AGGREGATOR, REMOTE:
        t.host_of(unit).systemctl("restart", unit)


def held(host, directory):
    return host.sh(["audit-relay", "log", f"--store={directory}"]).encode()


def size_of(host, directory):
    return steady(lambda: sum(path.stat().st_size for suffix in ("log", "idx") for path in host.path(directory).glob(f"[0-9]*.{suffix}")))


def by_size(t):
    sent = b""
    for number in range(PARTS):
        lines = as_stored(records(PART, f"retention{number}", size=267))
        t.send(b"".join(line.partition(b" ")[2] for line in lines.splitlines(keepends=True)))
        until(lambda lines=lines: t.stored().endswith(lines), "a part is stored")
        sent += lines
    until(lambda: size_of(t.collector, LOG) <= USE_MAX, "the collector keeps its bound")
    index = Index(t.collector, LOG)
    index.expect_told(SIZE)
    assert len(index.text) > USE_MAX // 2 and sent.endswith(index.text), "what is left is not the end of what was sent"
    assert index.newest - index.oldest + 1 == index.text.count(b"\n")
    assert held(t.collector, LOG) == index.text
    # At the client all is acked, and still there to be read.
    until(lambda: t.counter("remote", "store_released_seq") == t.counter("remote", "store_newest_seq"), "all is acked")
    assert held(t.client, SPOOL).endswith(sent), "acked records are to be kept"
    assert t.client.sh(["tail", "-n1", f"{SPOOL}/audit.log"]).encode() == sent.splitlines(keepends=True)[-1]
    return index.newest


def by_age(t, newest):
    for host, directory, reasons in (t.collector, LOG, (SIZE, AGE)), (t.client, SPOOL, (ACKED,)):
        until(lambda host=host, directory=directory: held(host, directory) == b"", f"nothing is left on {host.name}")
        index = Index(host, directory)
        index.expect_told(*reasons)
        assert index.batches == 0 and index.text == b""
        assert host is t.client or index.newest == newest, "own seqs go on where they were"


def story(t):
    configure(t, f"MaxUse={USE_MAX}", "KeepAcked=1h")
    newest = by_size(t)
    configure(t, "MaxRetentionSec=1s", "KeepAcked=1s")
    by_age(t, newest)
    t.collector.remove(COLLECTOR_CONF)
    t.client.remove(CLIENT_CONF)
    for unit in AGGREGATOR, REMOTE:
        t.host_of(unit).systemctl("restart", unit)
    t.skip_stored()
    lines = records(10, "after-retention")
    t.send(lines)
    t.expect_stored(lines)
    index = Index(t.collector, LOG)
    assert (index.oldest, index.newest) == (newest + 1, newest + 10)
    index.expect_told(SIZE, AGE)
