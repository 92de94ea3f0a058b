# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames of the link, from the project's vectors, and what a peer answers."""

import pathlib
import struct
import subprocess
import sys

VECTORS = pathlib.Path(__file__).resolve().parent.parent.parent / "vectors" / "frames.txt"
HEADER = struct.Struct("<HBBIQ")
MAGIC, BYE = 0x5241, 9
BYE_CERTIFICATE, BYE_NODE = 2, 3


def frame(name):
    for line in VECTORS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return bytes.fromhex(line.split(":", 1)[1])
    raise KeyError(name)


def bad_frames():
    """Name and bytes of what breaks the framing right at the beginning of a session."""
    return {
        "a wrong checksum": frame("bad-checksum"),
        "a frame of an unknown type": frame("bad-type-unknown"),
        "a body longer than any": frame("bad-too-long"),
        "a HELLO without a node": frame("bad-hello-no-node"),
        "no HELLO first": frame("batch-records"),
    }


def find_bye(answer):
    """Code and reason of the BYE in an answer, or None."""
    while len(answer) >= HEADER.size:
        magic, kind, _, size, _ = HEADER.unpack_from(answer)
        body = answer[HEADER.size:HEADER.size + size]
        if magic != MAGIC or len(body) < size:
            return None
        if kind == BYE:
            code, _, _, length = struct.unpack_from("<HHIH", body)
            return code, body[10:10 + length].decode()
        answer = answer[HEADER.size + size:]
    return None


def tls_talk(host, address, data, certificate=None, key=None, seconds=20):
    """From `host`'s network: a TLS session with the collector, `data` sent, what came back until it closed or was silent for that
    long. Its own process, as a network is a process's. A handshake that fails is an answer of nothing."""
    arguments = [address, str(seconds), data.hex()] + ([str(certificate), str(key)] if certificate else [])
    result = subprocess.run(["nsenter", f"--net=/run/netns/{host.name}", sys.executable, __file__, *arguments],
                            stdout=subprocess.PIPE, check=True, timeout=60)
    return bytes.fromhex(result.stdout.decode())


class FakeCollector:
    """While it lasts, whoever connects to `host`, which must have no aggregator now, finds its certificate and is answered `data`."""

    def __init__(self, host, data):
        files = [host.path(f"/etc/audit-relay/tls/{name}.pem") for name in ("cert", "key", "ca")]
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{host.name}", sys.executable, __file__, "--serve", data.hex(), *files])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def serve(data, certificate, key, authority):
    import socket
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.set_alpn_protocols(["audit-relay/1"])
    with socket.create_server(("", 6560)) as listener:
        while True:
            plain, _ = listener.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    secure.sendall(bytes.fromhex(data))
                    while secure.recv(65536):
                        pass
            except (OSError, ssl.SSLError):
                pass


def main(address, seconds, data, certificate=None, key=None):
    import socket
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["audit-relay/1"])
    if certificate:
        context.load_cert_chain(certificate, key)
    answer = b""
    with socket.create_connection((address, 6560), timeout=float(seconds)) as plain:
        try:
            with context.wrap_socket(plain) as secure:
                if data:
                    secure.sendall(bytes.fromhex(data))
                while chunk := secure.recv(65536):
                    answer += chunk
        except (OSError, ssl.SSLError):
            pass
    print(answer.hex())


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
