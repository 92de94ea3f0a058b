# SPDX-License-Identifier: LGPL-2.1-or-later
"""A line with a round trip of its own: delay.py PORT ROUND_TRIP_SEC passes connections on to that port of loopback, each byte half
of the round trip later. It takes whatever comes at once, as a network with room for all that is under way does; so what is
measured over it waits for answers, and for nothing else. Prints the port that it listens on."""

import asyncio
import contextlib
import os
import subprocess
import sys

CHUNK = 1 << 20


async def carry(reader, writer, delay):
    loop = asyncio.get_running_loop()
    line = asyncio.Queue()

    async def leave():
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    leaving = asyncio.create_task(leave())
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            line.put_nowait((loop.time() + delay, data))
    line.put_nowait((loop.time() + delay, b""))
    with contextlib.suppress(OSError):
        await leaving


async def main(port, round_trip):
    async def on_connected(reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK)
        await asyncio.gather(carry(reader, back, round_trip / 2), carry(there, writer, round_trip / 2))
        for end in back, writer:
            end.close()

    server = await asyncio.start_server(on_connected, "127.0.0.1", 0, limit=CHUNK)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def line(port, round_trip):
    """The port to connect to in place of `port`."""
    process = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(port), str(round_trip)], stdout=subprocess.PIPE,
                               text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
