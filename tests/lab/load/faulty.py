# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a real server behind a door that makes it as slow as a large one, and that can break.

    faulty.py --seconds 0.4 --at-once 2 -- /opt/llama/bin/python llama_server.py --host 0.0.0.0 --port 8100 ...

The door listens where the server was told to; the server itself goes 10000 ports higher, on loopback. So many
requests are worked on at once, each for at least so long, and the pieces of a stream come one by one. After SIGUSR1
every request for tokens is answered by 500 at once, while health and metrics stay good, until it is started
anew: an engine that fails fast. After SIGUSR2 each takes four times as long, until it is started anew. It ends when the
server does, with its exit; SIGTERM is passed on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

PORT_OFFSET = 10_000
BROKEN = b'{"error": {"message": "the engine is broken", "code": 500}}'
LIMIT = 1 << 20
SLOWER = 4


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.4, help="that a request takes at least")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--piece-seconds", type=float, default=0.05, help="between two pieces of a stream")
    parser.add_argument("command", nargs="+")
    return parser.parse_args(words)


def behind(command: list[str]) -> tuple[list[str], str, int]:
    """The command for a server behind the door, and the address and port of the door."""
    moved, found = list(command), {"--host": "127.0.0.1", "--port": "8080"}
    for name in found:
        place = moved.index(name) if name in moved else -1
        if place < 0:
            moved += [name, found[name]]
            continue
        found[name] = moved[place + 1]
    moved[moved.index("--host") + 1] = "127.0.0.1"
    moved[moved.index("--port") + 1] = str(int(found["--port"]) + PORT_OFFSET)
    return moved, found["--host"], int(found["--port"])


class Door:
    def __init__(self, options: argparse.Namespace, port: int) -> None:
        self.options, self.port = options, port
        self.broken, self.seconds = False, options.seconds
        self.free = asyncio.Semaphore(options.at_once)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection; what cannot be passed on closes it, as a server that is not there would."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(length_of(head))
            if not head.startswith(b"POST"):
                await self.exchange(head, body, writer)
            elif self.broken:
                writer.write(
                    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
                    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(BROKEN), BROKEN)
                )
                await writer.drain()
            else:
                async with self.free:
                    least = asyncio.create_task(asyncio.sleep(self.seconds))
                    await self.exchange(head, body, writer, least)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def exchange(
        self, head: bytes, body: bytes, writer: asyncio.StreamWriter, least: asyncio.Task[None] | None = None
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        # The reader knows where the answer ends by the connection's end.
        reader, server = there, back
        lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
        server.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
        await server.drain()
        try:
            stream = False
            while piece := await reader.read(LIMIT if least is None else 512):
                if least is not None and not stream:
                    stream = b"text/event-stream" in piece[:2000]
                    if not stream:
                        await least
                writer.write(piece)
                await writer.drain()
                if stream:
                    await asyncio.sleep(self.options.piece_seconds)
        finally:
            server.close()


def length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _colon, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


async def main() -> int:
    options = parse(sys.argv[1:])
    command, host, port = behind(options.command)
    server = await asyncio.create_subprocess_exec(*command)
    door = Door(options, port + PORT_OFFSET)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(door, "broken", True))
    loop.add_signal_handler(signal.SIGUSR2, lambda: setattr(door, "seconds", SLOWER * options.seconds))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.send_signal, number)
    # Open only once the server listens, so that nobody finds a door without a server.
    ended = asyncio.create_task(server.wait())
    while not ended.done():
        with contextlib.suppress(OSError):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port + PORT_OFFSET)
            writer.close()
            break
        await asyncio.sleep(0.1)
    listener = None if ended.done() else await asyncio.start_server(door.serve, host, port, limit=LIMIT)
    code = await ended
    if listener is not None:
        listener.close()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
