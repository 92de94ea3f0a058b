# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbered records, and the comparison of what was fed with what is stored, byte for byte."""

import itertools

NODE = "client"
TIME = 1700000000
_serials = itertools.count(1)


def records(count, tag, size=0):
    """`count` lines as a producer writes them, numbered in op=; padded to `size` bytes with the newline."""
    lines = []
    for number in range(1, count + 1):
        serial = next(_serials)
        line = (f"type=USER msg=audit({TIME + serial // 1000}.{serial % 1000:03}:{serial}): pid=1 uid=0 auid=0 ses=1 "
                f"msg='op={tag} n={number} ")
        lines.append(f"{line.ljust(size - 14, 'x')} res=success'\n")
    return "".join(lines).encode()


def as_stored(lines, node=NODE):
    return b"".join(b"node=" + node.encode() + b" " + line for line in lines.splitlines(keepends=True))


def first_difference(expected, found):
    """Where two logs part, in words; None if they are equal."""
    if expected == found:
        return None
    a, b = expected.splitlines(keepends=True), found.splitlines(keepends=True)
    for number, (want, have) in enumerate(zip(a, b), 1):
        if want != have:
            return f"record {number} of {len(a)} expected, {len(b)} found:\n  expected {want!r}\n  found    {have!r}"
    if len(a) < len(b):
        return f"{len(a)} records expected, {len(b)} found, the first of the others:\n  {b[len(a)]!r}"
    return f"{len(a)} records expected, only {len(b)} found"
