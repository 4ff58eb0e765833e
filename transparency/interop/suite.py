"""A running server's log before verifiers that share no code with ours: Go's x/mod/sumdb, aics-tlog, aics-witness.

They accept the log, and refuse it as soon as one byte of a copy is another one. Ends with "N passed, N failed".

    suite.py DIRECTORY-OF-PROGRAMS GO-VERIFIER
"""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from aics_tlog import HttpTileReader, audit_tiles, format_vkey, parse_checkpoint, parse_note, parse_vkey, verify_checkpoint, vkey_from_ed25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PROGRAMS, GO = pathlib.Path(sys.argv[1]), sys.argv[2]
WITNESS = pathlib.Path(sys.executable).with_name("aics-witness")
PATIENCE = 30


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def fetch(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return answer.read()


def until_answered(url):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fetch(url)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Server:
    """A homeserver of its own; its log grows by one entry with each new federation key."""

    def __init__(self, place):
        self.data = place / "alpha"
        port = free_port(socket.SOCK_STREAM)
        self.url = f"http://127.0.0.1:{port}/kt/v1"
        listen = [
            f"--client-listen=127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
            f"--federation-listen=127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
            f"--admin-listen=127.0.0.1:{free_port(socket.SOCK_STREAM)}",
            f"--public-listen=127.0.0.1:{port}",
        ]
        self.verb("init", "--domain=alpha.test", *listen)
        self.process = None
        self.start()

    def verb(self, *words):
        command = [PROGRAMS / "qpq-server", *words, "--data-dir", self.data]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def start(self):
        command = [PROGRAMS / "qpq-server", "serve", "--data-dir", self.data]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.checkpoint = until_answered(self.url + "/checkpoint")

    def stop(self):
        self.process.terminate()
        if self.process.wait(PATIENCE) != 0:
            raise AssertionError("the server did not stop well")

    def grow(self):
        self.stop()
        key = self.data / "keys" / "federation"
        key.write_text(secrets.token_hex(32) + "\n")
        self.start()

    def vkey(self):
        return json.loads(self.verb("log", "status", "--json"))["key"]


@contextlib.contextmanager
def served(directory):
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=directory))
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{site.server_port}"
    finally:
        site.shutdown()


def copy(server, place):
    """What the server publishes, as files."""
    size = int(server.checkpoint.split(b"\n")[1])
    for path in ["checkpoint", f"tile/0/000.p/{size}", f"tile/entries/000.p/{size}"]:
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(fetch(f"{server.url}/{path}"))
    return [place / f"tile/0/000.p/{size}", place / f"tile/entries/000.p/{size}", place / "checkpoint"]


def go(*words):
    done = subprocess.run([GO, *words], capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode == 0, done.stdout + done.stderr


def python(url, vkey):
    """A whole audit: the signature, every tile, every entry."""
    try:
        note = parse_note(fetch(url + "/checkpoint"))
        checked = verify_checkpoint(note, parse_vkey(vkey))
        if not checked.ok:
            return False, str(checked)
        head = parse_checkpoint(note.text)
        report = audit_tiles(HttpTileReader([url + "/"], proxies={}), head.size, head.root)
        return True, str(report)
    except Exception as error:  # noqa: BLE001: whatever it raises is its refusal
        return False, f"{type(error).__name__}: {error}"


def accepted(server, olds, place):
    vkey = server.vkey()
    for verdict, said in [go(server.url, vkey, *olds), python(server.url, vkey)]:
        assert verdict, said


def refused(server, olds, place):
    vkey = server.vkey()
    mirror = place / "mirror"
    for file in copy(server, mirror):
        good = file.read_bytes()
        for at in (0, len(good) // 2, len(good) - 2):
            bent = bytearray(good)
            bent[at] ^= 1
            file.write_bytes(bytes(bent))
            with served(mirror) as url:
                for verdict, said in [go(url, vkey), python(url, vkey)]:
                    assert not verdict, f"byte {at} of {file.name} was flipped, and it was accepted: {said}"
        file.write_bytes(good)
    with served(mirror) as url:
        for verdict, said in [go(url, vkey), python(url, vkey)]:
            assert verdict, f"the copy as it was is refused: {said}"


def another_key(server, olds, place):
    other = vkey_from_ed25519("alpha.test/kt/v1", Ed25519PrivateKey.generate().public_key())
    other = other if isinstance(other, str) else format_vkey(other)
    for verdict, said in [go(server.url, other), python(server.url, other)]:
        assert not verdict, said


def witnessed(server, olds, place):
    """A witness that others wrote cosigns our log, follows it as it grows, and refuses what doesn't continue it."""
    home = place / "witness"
    home.mkdir()
    config = ["--config", home / "witness.json"]
    verb = lambda name, *words: [WITNESS, name, *config, *words]  # noqa: E731
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True, cwd=home)
    run(verb("init", "--name", "w.test/kt-witness/v1"))
    run(verb("add-log", "--origin", "alpha.test/kt/v1", "--vkey", server.vkey()))
    port = free_port(socket.SOCK_STREAM)
    process = subprocess.Popen(
        verb("serve", "--listen", f"127.0.0.1:{port}"),
        cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        until_answered(f"http://127.0.0.1:{port}/healthz")

        def ask(old, proof, checkpoint):
            body = f"old {old}\n{proof}\n".encode() + checkpoint
            request = urllib.request.Request(f"http://127.0.0.1:{port}/add-checkpoint", data=body)
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        first = server.checkpoint
        old = int(first.split(b"\n")[1])
        status, line = ask(0, "", first)
        assert status == 200 and line.startswith("\N{EM DASH} w.test/kt-witness/v1 "), (status, line)
        server.grow()
        fine, proof = go("prove", server.url, server.vkey(), str(old))
        assert fine, proof
        status, said = ask(old, "A" * 43 + "=\n", server.checkpoint)
        assert status == 422, (status, said)
        status, line = ask(old, proof, server.checkpoint)
        assert status == 200, (status, line)
        status, size = ask(old, "", first)
        assert (status, size) == (409, f"{old + 1}\n"), (status, size)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        server = Server(place)
        try:
            olds = []
            for number in range(4):
                old = place / f"checkpoint-{number}"
                old.write_bytes(server.checkpoint)
                olds.append(str(old))
                server.grow()
            for case in [accepted, refused, another_key, witnessed, accepted]:
                shutil.rmtree(place / "mirror", ignore_errors=True)
                try:
                    case(server, olds, place)
                    passed += 1
                    print(f"ok    {case.__name__}")
                except Exception as error:  # noqa: BLE001: the other cases are run all the same
                    failed += 1
                    print(f"FAILED {case.__name__}: {type(error).__name__}: {error}")
        finally:
            server.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    os.environ.pop("http_proxy", None)
    main()
