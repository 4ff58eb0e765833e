"""Runs schemas/examples/python_client.py against a real server, and checks the parts that need none.

Standard library and the client's own two dependencies only. Prints a line per test, and "N passed, N failed" at the end.
"""

import asyncio
import contextlib
import json
import pathlib
import queue
import socket
import subprocess
import sys
import threading
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIENT = ROOT / "schemas" / "examples" / "python_client.py"
PROGRAMS = pathlib.Path(sys.argv[1]).resolve()
DEADLINE = 120

sys.path.insert(0, str(CLIENT.parent))

import capnp  # noqa: E402
import python_client  # noqa: E402


class Lines:
    """A child process whose output lines are waited for with a deadline."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self):
        line = self.lines.get(timeout=DEADLINE)
        assert line is not None, f"{self.process.args[0]} ended with {self.process.wait(timeout=DEADLINE)}"
        return line

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        try:
            return self.process.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextlib.contextmanager
def loopback():
    world = Lines([PROGRAMS / "qpq-loopback"])
    try:
        yield world, world.next()
    finally:
        status = world.end()
    assert status == 0, f"the server did not stop cleanly: {status}"


def client(facts, *more, **changed):
    facts = {**facts, **changed}
    return [
        sys.executable,
        CLIENT,
        *("--server", facts["server"], "--domain", facts["domain"]),
        # With `=`, because one pin in 64 begins with a hyphen.
        *(f"--pin={facts['pin']}", "--token-file", facts["token_file"]),
        *more,
    ]


def a_push_reaches_a_python_client():
    with loopback() as (world, facts):
        before = pathlib.Path(facts["token_file"]).read_text()
        program = Lines(client(facts))
        assert program.next() == {"event": "connected", "alpn": "capnp"}
        info = program.next()
        assert info["event"] == "info" and info["domain"] == "alpha.test" and info["protocol"] == 1, info
        resumed = program.next()
        assert resumed["event"] == "resumed" and resumed["address"] == "alice@alpha.test", resumed
        # The device of the `qpq` that made the account, and the one of the token.
        assert resumed["devices"] == 2, resumed
        assert program.next() == {"event": "subscribed"}
        world.say("pushed to python")
        sent = world.next()
        seen = []
        while not seen or seen[-1].get("kind") != "application" or seen[-1]["event"] != "acknowledged":
            seen.append(program.next())
        deliveries = [line for line in seen if line["event"] == "delivery"]
        kinds = [line["kind"] for line in deliveries]
        assert kinds[0] == "welcome" and kinds[-1] == "application", kinds
        assert sent["message_id"] == "msg_" + deliveries[-1]["id"], (sent, deliveries)
        assert deliveries[-1]["bytes"] > 0
        assert program.end() == 0
        assert pathlib.Path(facts["token_file"]).read_text() != before, "the token was rotated"

        # The rotated token opens the next session, and what was acknowledged is not pushed again.
        program = Lines(client(facts))
        while program.next()["event"] != "subscribed":
            pass
        world.say("once more")
        sent = world.next()
        delivery = program.next()
        assert delivery["event"] == "delivery" and delivery["kind"] == "application", delivery
        assert sent["message_id"] == "msg_" + delivery["id"], (sent, delivery)
        program.next()
        assert program.end() == 0

        # A token that was used up, and a pin that is not the server's, are refused in words.
        pathlib.Path(facts["token_file"]).write_text(before)
        refused = subprocess.run([str(part) for part in client(facts)], capture_output=True, text=True, timeout=DEADLINE)
        assert refused.returncode == 1 and "error 20" in refused.stderr, refused
        wrong = [str(part) for part in client(facts, pin="A" * 43)]
        refused = subprocess.run(wrong, capture_output=True, text=True, timeout=DEADLINE)
        assert refused.returncode == 1 and "not the pinned one" in refused.stderr, refused


def streaming_callbacks_work_between_two_vats_of_python():
    """`-> stream` from a server to a callback: pycapnp needs the standard schema, and waits for slow readers."""
    contract = python_client.client_capnp
    total = 200

    class Mailbox(contract.Mailbox.Server):
        async def subscribe(self, inbox, _context, **_):
            self.pushing = asyncio.create_task(self.push(inbox))

        async def push(self, inbox):
            for seq in range(1, total + 1):
                position = {"feed": {"group": b"g" * 20}, "incarnation": b"i" * 16, "seq": seq}
                await inbox.deliver(deliveries=[{"position": position, "expired": {"id": b"m" * 16}}])

    async def pair():
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        stream = await capnp.AsyncIoStream.create_connection(sock=ours)
        pusher = Mailbox()
        server = capnp.TwoPartyServer(stream, bootstrap=pusher)
        rpc = capnp.TwoPartyClient(await capnp.AsyncIoStream.create_connection(sock=theirs))
        mailbox = rpc.bootstrap().cast_as(contract.Mailbox)
        inbox = python_client.Inbox()
        await mailbox.subscribe(inbox=inbox)
        seen = [(await inbox.arrived.get()).position.seq for _ in range(total)]
        assert seen == list(range(1, total + 1)), seen
        await pusher.pushing
        del server

    asyncio.run(capnp.run(asyncio.wait_for(pair(), DEADLINE)))


def main():
    passed = failed = 0
    for test in (streaming_callbacks_work_between_two_vats_of_python, a_push_reaches_a_python_client):
        try:
            test()
        except Exception:  # each test is told apart; the status says whether all passed
            traceback.print_exc()
            print(f"FAILED {test.__name__}")
            failed += 1
        else:
            print(f"ok     {test.__name__}")
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
