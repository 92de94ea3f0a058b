# SPDX-License-Identifier: LGPL-2.1-or-later
"""Another collector, on the client's own host: what cuts the first one off leaves it there. And what a store's index explains."""

import contextlib
import struct

from .index import BATCH, ENTRY, STREAM, index_paths
from .machine import until
from .records import as_stored
from .relay import ADDRESSES, CA, REMOTE, REMOTE_CONF

PORT = 6561
ETC, VAR, RUN = "/etc/second", "/var/lib/second", "/run/second"
UNIT = "second-aggregator"


class Second:
    def __init__(self, t, name):
        self.t, self.host, self.name = t, t.client, name
        t.collector.sh(f"test -d {CA}/{name} || audit-relay cert collector {name} --dir {CA}")
        for file, mode in (("cert.pem", 0o644), ("key.pem", 0o600), ("ca.pem", 0o644)):
            self.host.write(f"{ETC}/{file}", t.collector.read(f"{CA}/{name}/{file}"), mode)
        self.host.write(f"{ETC}/aggregator.conf",
                        f"[Aggregator]\nName={name}\nListen={PORT}\nDirectory={VAR}\nStateDirectory={RUN}\n"
                        f"TLSCertificate={ETC}/cert.pem\nTLSKey={ETC}/key.pem\nTLSAuthority={ETC}/ca.pem\n")
        self.host.sh(f"rm -rf {VAR} && mkdir -p {VAR} {RUN}")
        self.start()

    def start(self):
        self.host.sh(f"systemd-run --quiet --unit={UNIT} --collect --service-type=notify /usr/lib/audit-relay/aggregator"
                     f" --config={ETC}/aggregator.conf")

    def stop(self):
        self.host.sh(f"systemctl stop {UNIT}", check=False)

    def stored(self):
        paths = sorted(self.host.path(VAR).glob("[0-9]*.log"), key=lambda path: int(path.name.split(".")[0]))
        return b"".join(path.read_bytes() for path in paths)

    def expect_stored(self, lines):
        """Waits for these records, wherever they stand."""
        expected = lines.splitlines()

        def there():
            found = set(line.partition(b" ")[2] for line in self.stored().splitlines())
            return all(line in found for line in expected)

        until(there, "all of them are at the second collector")

    def has(self, lines):
        """Whether any of these records is there."""
        return not set(as_stored(lines).splitlines()).isdisjoint(self.stored().splitlines())


@contextlib.contextmanager
def two_collectors(t, name, settings="", collectors=None):
    """The client knows both, the first one preferred; afterwards all is as before. `name`: of the second, which is a new one."""
    collectors = collectors or f"collector {ADDRESSES['client']}:{PORT}#{name}"
    second = Second(t, name)
    # Whoever waits for a backoff will be seen.
    t.client.write("/etc/audit-relay/remote.conf",
                   f"[Remote]\nCollector={collectors}\nRetryMin=60s\nRetryMax=60s\n{settings}")
    t.client.systemctl("restart", REMOTE)
    try:
        yield second
    finally:
        t.client.write("/etc/audit-relay/remote.conf", REMOTE_CONF)
        t.restart_remote()
        second.stop()


def explained(host, directory):
    """Whether in each stream of the store each seq is there, once: as a record, or as a batch that says where it is; behind what was
    deleted from the store by other cases, of which its first header tells. Returns {stream: last seq}."""
    last = {}
    paths = index_paths(host, directory)
    for path in paths:
        index = path.read_bytes()
        for at in range(0, len(index) - ENTRY + 1, ENTRY):
            entry = index[at:at + ENTRY]
            kind, = struct.unpack_from("<H", entry, 4)
            stream = entry[72:88]
            if kind == STREAM and path == paths[0]:
                last[entry[24:40]], = struct.unpack_from("<Q", entry, 40)
            if kind != BATCH or not any(stream):
                continue
            first, end = struct.unpack_from("<QQ", entry, 88)
            assert first == last.get(stream, 0) + 1, f"{path}: {first} follows {last.get(stream, 0)}"
            last[stream] = end
    return last


def expect_explained(t, second):
    """In both stores, of the stream of our client, and nothing is missing at either's beginning."""
    for host, directory in (t.collector, "/var/log/audit-relay"), (second.host, VAR):
        assert explained(host, directory), f"nothing in {directory} of {host.name}"


def expect_once(lines, t, second):
    """Neither has one of these lines twice, which are as they are stored. Others may be there again: a case may have had the client
    forgotten."""
    lines = set(lines)
    for log in t.stored(), second.stored():
        found = [line for line in log.splitlines() if line in lines]
        assert len(set(found)) == len(found), "a collector has a record twice"


__all__ = ["PORT", "Second", "expect_explained", "expect_once", "explained", "two_collectors"]
