"""What stands between rgate and a Docker: with TLS or without, at a pace."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def terminating(directory: Path) -> ssl.SSLContext:
    """Return TLS by the certificate in *directory*, for clients that have one of its authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Between:
    """*byte_every_s*: what Docker says goes on a byte at a time, as often as that; 0: as it comes.

    *late_s*: by so much later than it came. Both hold for what comes from then on.
    """

    def __init__(self, real: str, tls: ssl.SSLContext | None, path: str) -> None:
        self.byte_every_s = 0.0
        self.late_s = 0.0
        self.port = 0
        self._path = path
        self._real = real
        self._tls = tls
        self._joined: set[asyncio.StreamWriter] = set()

    @property
    def host(self) -> str:
        return f"unix://{self._path}" if self._path else f"tcp://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Close all connections. New ones are let through."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _cut(self) -> None:
        for writer in self._joined:
            writer.transport.abort()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def serve(self, listening: threading.Event) -> None:
        """Serve until `stop`."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        if self._path:
            starting = asyncio.start_unix_server(self._join, self._path)
        else:
            starting = asyncio.start_server(self._join, "127.0.0.1", 0, ssl=self._tls)
        async with await starting as server:
            self.port = 0 if self._path else server.sockets[0].getsockname()[1]
            listening.set()
            await self._stopped.wait()
            await self._cut()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        daemon_reader, daemon_writer = await asyncio.open_unix_connection(self._real)
        both = {writer, daemon_writer}
        self._joined |= both
        there = asyncio.create_task(self._copy(reader, daemon_writer))
        back = asyncio.create_task(self._pace(daemon_reader, writer))
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        self._joined -= both
        for one in both:
            one.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()

    async def _pace(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                await asyncio.sleep(self.late_s)
                while self.byte_every_s and piece:
                    writer.write(piece[:1])
                    piece = piece[1:]
                    await asyncio.sleep(self.byte_every_s)
                writer.write(piece)
                await writer.drain()


@contextmanager
def between(real: str, tls: ssl.SSLContext | None = None, path: str = "") -> Iterator[Between]:
    """Stand before the daemon whose socket is *real*; *path*: at a socket there."""
    made, listening = Between(real, tls, path), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(made.serve(listening)))
    thread.start()
    assert listening.wait(10)
    try:
        yield made
    finally:
        made.stop()
        thread.join()
