# SPDX-License-Identifier: LGPL-2.1-or-later
"""Taps of the link's two hops: what goes through is passed on unchanged, and each ACK is told to the witness before the sender of
the records sees it. So what is told is what the receiver has promised."""

import asyncio
import os
import ssl
import struct

# magic, type, flags, size of the body, checksum (docs/protocol.md)
FRAME = struct.Struct("<HBBIQ")
MAGIC, HELLO, ACK = 0x5241, 1, 4
CHUNK = 256 << 10
TLS = "/etc/audit-relay/tls"
TAP_PORT, COLLECTOR_PORT = 6561, 6560
TAP_SOCKET, REMOTE_SOCKET = "/run/vm/remote", "/run/audit-relay/remote"


class Frames:
    """Bytes in pieces in, frames out; of a frame only the beginning of the body."""
    SEEN = 64

    def __init__(self):
        self.head, self.skip = b"", 0

    def feed(self, data):
        while data:
            if self.skip:
                skipped = min(self.skip, len(data))
                self.skip -= skipped
                data = data[skipped:]
                continue
            self.head, data = self.head + data, b""
            if len(self.head) < FRAME.size:
                return
            magic, kind, _, size, _ = FRAME.unpack_from(self.head)
            if magic != MAGIC:
                raise ValueError(f"no frame: {self.head[:16].hex()}")
            seen = FRAME.size + min(size, self.SEEN)
            if len(self.head) < seen:
                return
            yield kind, self.head[FRAME.size:seen]
            data, self.head, self.skip = self.head[seen:], b"", size - (seen - FRAME.size)


class Tap:
    def __init__(self, hop, connect, tell):
        self.hop, self.connect, self.tell = hop, connect, tell

    async def session(self, reader, writer):
        """Of one connection. Whatever ends it ends it on both sides."""
        up_writer = None
        try:
            up_reader, up_writer = await self.connect()
            stream = []
            tasks = [asyncio.create_task(self.forward(reader, up_writer, stream)),
                     asyncio.create_task(self.backward(up_reader, writer, stream))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        except (OSError, ssl.SSLError):
            pass
        finally:
            for end in writer, up_writer:
                if end:
                    end.close()

    async def forward(self, reader, writer, stream):
        frames = Frames()
        while data := await reader.read(CHUNK):
            if not stream:
                for kind, body in frames.feed(data):
                    if kind == HELLO:
                        stream.append(body[8:24].hex())
                        break
            writer.write(data)
            await writer.drain()

    async def backward(self, reader, writer, stream):
        frames = Frames()
        while data := await reader.read(CHUNK):
            for kind, body in frames.feed(data):
                if kind == ACK:
                    self.tell(self.hop, stream[0], struct.unpack_from("<Q", body)[0])
            writer.write(data)
            await writer.drain()


def context(side, directory):
    """With the certificate of the side that we stand for; each side verifies ours as it verifies its peer's."""
    made = ssl.SSLContext(side)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.load_verify_locations(f"{directory}/ca.pem")
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(f"{directory}/cert.pem", f"{directory}/key.pem")
    made.set_alpn_protocols(["audit-relay/1"])
    return made


async def serve(tell):
    as_client = context(ssl.PROTOCOL_TLS_CLIENT, TLS)
    to_remote = Tap("remote", lambda: asyncio.open_unix_connection(REMOTE_SOCKET), tell)
    to_collector = Tap("collector", lambda: asyncio.open_connection("127.0.0.1", COLLECTOR_PORT, ssl=as_client), tell)
    if os.path.exists(TAP_SOCKET):
        os.unlink(TAP_SOCKET)
    await asyncio.start_unix_server(to_remote.session, TAP_SOCKET)
    os.chmod(TAP_SOCKET, 0o666)
    await asyncio.start_server(to_collector.session, "127.0.0.1", TAP_PORT,
                               ssl=context(ssl.PROTOCOL_TLS_SERVER, f"{TLS}/collector"))
    await asyncio.Event().wait()
