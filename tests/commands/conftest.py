"""Endpoints that misbehave, for the commands that go to one."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Answer = Callable[[socket.socket, threading.Event], None]


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """A function that serves connections with a function of one's own, with TLS or not; gives the port."""
    over = threading.Event()
    listeners: list[socket.socket] = []

    def start(answer: Answer, context: ssl.SSLContext | None = None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def attend(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                if context is None:
                    answer(connection, over)
                else:
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        answer(wrapped, over)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=attend, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    over.set()
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture
def hanging(serve: Callable[..., int]) -> str:
    """The URL of an endpoint that takes connections and never answers."""

    def wait(_connection: socket.socket, over: threading.Event) -> None:
        over.wait()

    return f"http://127.0.0.1:{serve(wait)}"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody but itself vouches for, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    directory = tmp_path_factory.mktemp("certificate")
    key, made = directory / "key.pem", directory / "certificate.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", *kind, "-keyout", str(key), "-out", str(made), *subject]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


@pytest.fixture
def self_signed(serve: Callable[..., int], certificate: tuple[Path, Path]) -> str:
    """The URL of an HTTPS endpoint with such a certificate, which would answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return f"https://127.0.0.1:{serve(polite, context)}"


def polite(connection: socket.socket, _over: threading.Event) -> None:
    """Read a request and answer that there is nothing."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part:
            return
        received += part
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
