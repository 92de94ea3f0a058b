# SPDX-License-Identifier: LGPL-2.1-or-later
"""A name server for one test: dns.py ADDRESS, the zone on standard input, one record a line. Says "ready" when it listens."""

import ipaddress
import socket
import struct
import sys

TYPES = {"A": 1, "AAAA": 28, "SRV": 33}
QUESTION_TAIL = 4
AUTHORITATIVE, NO_SUCH_NAME = 0x8580, 3


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def encode(kind, fields):
    if kind == "SRV":
        *numbers, target = fields
        return struct.pack(">HHH", *map(int, numbers)) + encode_name(target)
    return ipaddress.ip_address(fields[0]).packed


def read_zone(lines):
    zone = {}
    for kind, name, *fields in map(str.split, lines):
        zone.setdefault(name, []).append((TYPES[kind], encode(kind, fields)))
    return zone


def answer(zone, query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    question = query[12:at + 1 + QUESTION_TAIL]
    wanted, = struct.unpack_from(">H", query, at + 1)
    records = zone.get(".".join(labels))
    found = [data for kind, data in records or [] if kind == wanted]
    head = query[:2] + struct.pack(">HHHHH", AUTHORITATIVE | (0 if records else NO_SUCH_NAME), 1, len(found), 0, 0)
    return head + question + b"".join(struct.pack(">HHHIH", 0xC00C, wanted, 1, 0, len(data)) + data for data in found)


def main():
    zone = read_zone(sys.stdin.read().splitlines())
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], 53))
    print("ready", flush=True)
    while True:
        query, peer = server.recvfrom(4096)
        server.sendto(answer(zone, query), peer)


if __name__ == "__main__":
    main()
