# SPDX-License-Identifier: LGPL-2.1-or-later
"""A store's files as docs/store.md describes them, read and verified without our code."""

import collections
import hashlib
import struct

ENTRY = 256
SEGMENT, STREAM, BATCH, DELETED = 1, 2, 3, 6
CHAINED = 1
NO_CHAIN = bytes(32)
ACKED, SIZE, AGE = 1, 2, 3

Deletion = collections.namedtuple("Deletion", "first last reason")


def index_paths(host, directory):
    """Of the store's segments, the oldest first."""
    return sorted(host.path(directory).glob("[0-9]*.idx"), key=lambda path: int(path.name.split(".")[0], 10))


class Index:
    """All segments of a store that nobody writes to now. Reading it is verifying it: own seqs are contiguous; where it is chained, the
    chain holds within each segment and from one to the next, and each batch's text is what its entry says."""

    def __init__(self, host, directory):
        self.batches = 0
        self.text = b""
        self.deletions = {}  # by first seq: a header repeats the last one
        self.chain = self.oldest = None
        paths = index_paths(host, directory)
        for path in paths:
            self._read(path)
        assert paths, f"no store in {directory}"

    def expect_told(self, *reasons):
        """What is not there any more was deleted, for one of these reasons, the newest for the last of them; and the store says so
        without a gap in between."""
        told = [self.deletions[first] for first in sorted(self.deletions)]
        assert told and told[-1].last == self.oldest - 1, f"the oldest held is {self.oldest}, told as deleted: {told}"
        assert all(a.last + 1 == b.first for a, b in zip(told, told[1:])), told
        assert all(one.reason in reasons for one in told) and told[-1].reason == reasons[-1], f"{reasons}: {told}"

    def _read(self, path):
        index, text = path.read_bytes(), path.with_suffix(".log").read_bytes()
        first = int(path.stem, 10)
        assert len(index) % ENTRY == 0, f"{path.name} ends within an entry"
        assert self.oldest is None or first == self.newest + 1, f"{path.name} follows {self.newest}"
        if self.oldest is None:
            self.oldest, self.newest = first, first - 1
        flags, = struct.unpack_from("<I", index, 20)
        chain = index[80:112]
        assert not flags & CHAINED or self.chain in (None, chain), f"{path.name}: the chain is broken"
        for number in range(len(index) // ENTRY):
            entry = index[number * ENTRY:(number + 1) * ENTRY]
            magic, kind, own = struct.unpack_from("<4sH10xI", entry)
            assert magic == b"ARIX" and own == number and (kind == SEGMENT) == (number == 0), f"{path.name}: entry {number}"
            if flags & CHAINED:
                chain = hashlib.sha256(chain + entry[:8] + entry[16:224]).digest()
                assert chain == entry[224:], f"{path.name}: the chain breaks at entry {number}"
            if kind == BATCH:
                self._batch(path, entry, text, flags)
            elif kind == DELETED:
                begin, end = struct.unpack_from("<QQ", entry, 24)
                self.deletions[begin] = Deletion(begin, end, entry[56])
        self.chain = chain
        self.text += text

    def _batch(self, path, entry, text, flags):
        begin, end, count, size = struct.unpack_from("<QQII", entry, 24)
        offset, = struct.unpack_from("<Q", entry, 112)
        payload = text[offset:offset + size]
        assert begin == self.newest + 1 and payload.count(b"\n") == count == end - begin + 1, f"{path.name}: seq {begin}"
        assert not flags & CHAINED or count == 0 or hashlib.sha256(payload).digest() == entry[136:168], f"{path.name}: seq {begin}"
        self.newest = end
        self.batches += 1


__all__ = ["ACKED", "AGE", "BATCH", "ENTRY", "SIZE", "STREAM", "Index", "index_paths"]
