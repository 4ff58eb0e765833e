#!/usr/bin/env python3
"""A quicproquo client that shares no code with ours: aioquic for QUIC, pycapnp for the calls.

It reads nothing but the schemas beside it. It connects, checks the homeserver's pin, asks `info`, resumes a session
with a resumption token (OPAQUE, which made the token, is not spoken here), registers an `Inbox` callback, and prints
what is pushed through it until an application message has come. One JSON object a line on standard output.

    pip install aioquic==1.7.2 pycapnp==2.2.4
    python3 python_client.py --server 127.0.0.1:7443 --domain alpha.test --pin=PIN --token-file FILE

A resumption token is used up by its first use; the next one is written back into FILE before anything else is done.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import socket
import ssl
import sys

import capnp
from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SCHEMAS = pathlib.Path(__file__).resolve().parent.parent
# `-> stream` lives in a standard schema: without it on the import path pycapnp ends the whole process.
client_capnp = capnp.load(str(SCHEMAS / "client.capnp"), imports=[str(SCHEMAS / "std")])


class Refused(Exception):
    """The homeserver answered with a failure: a number for programs, a sentence for people."""


def checked(results):
    """A method that fails sets `failure`, and nothing else."""
    if results.failure.code:
        raise Refused(f"{results.failure.text} (error {results.failure.code})")
    return results


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def check_pin(protocol: QuicConnectionProtocol, domain: str, pin: str) -> None:
    """The homeserver is who we mean if the CA whose key we know issued its certificate, for our domain.

    The server sends its leaf and its own CA; no public CA is involved, so the TLS library is told not to judge and
    this function does: domain in the SAN, the leaf signed by the CA that was sent along, that CA's key pinned.
    """
    tls = protocol._quic.tls  # aioquic keeps the presented chain here and has no public name for it
    leaf = tls._peer_certificate
    chain = tls._peer_certificate_chain
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if domain not in names.get_values_for_type(x509.DNSName):
        raise SystemExit(f"the certificate is not for {domain}")
    for authority in chain:
        spki = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        shown = base64.urlsafe_b64encode(hashlib.sha256(spki).digest()).rstrip(b"=").decode()
        if shown == pin:
            authority.public_key().verify(
                leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(leaf.signature_hash_algorithm)
            )
            return
    raise SystemExit("the homeserver is not the pinned one: nothing was sent to it")


@contextlib.asynccontextmanager
async def rpc_over_quic(host: str, port: int, domain: str, pin: str):
    """Yields Cap'n Proto's two-party client over one bidirectional QUIC stream."""
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["capnp"], server_name=domain, verify_mode=ssl.CERT_NONE
    )
    async with connect(host, port, configuration=configuration) as protocol:
        check_pin(protocol, domain, pin)
        reader, writer = await protocol.create_stream()
        # pycapnp wants a socket: one end of a pair is its, the other end is pumped to and from the QUIC stream.
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        inner_reader, inner_writer = await asyncio.open_connection(sock=ours)
        pumps = [
            asyncio.create_task(pump(inner_reader, writer)),
            asyncio.create_task(pump(reader, inner_writer)),
        ]
        try:
            yield capnp.TwoPartyClient(await capnp.AsyncIoStream.create_connection(sock=theirs))
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            inner_writer.close()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(64 * 1024):
        sink.write(data)
        await sink.drain()


class Inbox(client_capnp.Inbox.Server):
    """What the homeserver calls: deliveries are pushed, nobody polls."""

    def __init__(self):
        self.arrived = asyncio.Queue(maxsize=64)

    async def deliver(self, deliveries, _context, **_):
        # A full queue makes this wait, and the homeserver then pushes no more: that is the flow control. Readers
        # are valid during the call only, so what is kept is copied.
        for delivery in deliveries:
            await self.arrived.put(delivery.as_builder())

    async def draining(self, reason, _context, **_):
        say("draining", reason=reason)


def same_position(delivery):
    return delivery.position.to_dict()


async def talk(arguments) -> None:
    host, _, port = arguments.server.rpartition(":")
    async with rpc_over_quic(host, int(port), arguments.domain, arguments.pin) as rpc:
        say("connected", alpn="capnp")
        homeserver = rpc.bootstrap().cast_as(client_capnp.Homeserver)

        info = (await homeserver.info()).info
        say("info", domain=info.domain, version=info.version, protocol=info.maxVersion)
        if info.domain != arguments.domain:
            raise SystemExit(f"this homeserver serves {info.domain}")

        token_file = pathlib.Path(arguments.token_file)
        token = base64.urlsafe_b64decode(token_file.read_text().strip() + "==")
        resumed = checked(await homeserver.resume(token=token))
        following = base64.urlsafe_b64encode(resumed.grant.resumptionToken).rstrip(b"=").decode()
        fresh = token_file.with_suffix(".next")
        fresh.touch(mode=0o600)
        fresh.write_text(following + "\n")
        os.replace(fresh, token_file)
        session = resumed.session

        # Pipelined: the account is asked before the answer with its capability is here.
        account = checked(await session.account().account.show())
        say("resumed", address=account.address, devices=len(account.keys.devices))

        mailbox = session.mailbox().mailbox
        inbox = Inbox()
        checked(await mailbox.subscribe(inbox=inbox))
        say("subscribed")
        await receive(mailbox, inbox)


async def receive(mailbox, inbox: Inbox) -> None:
    """Prints what is pushed, acknowledges it, and ends after the first application message."""
    while True:
        delivery = await inbox.arrived.get()
        kind = str(delivery.which())
        fields = {}
        if kind == "application":
            fields = {"id": delivery.application.id.hex(), "bytes": len(delivery.application.message)}
        say("delivery", kind=kind, seq=delivery.position.seq, **fields)
        # A program that keeps messages stores this one durably now, and only then acknowledges.
        checked(await mailbox.acknowledge(positions=[same_position(delivery)]))
        say("acknowledged", kind=kind, seq=delivery.position.seq)
        if kind == "application":
            return


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", required=True, metavar="HOST:PORT")
    parser.add_argument("--domain", required=True)
    parser.add_argument("--pin", required=True, help="as `qpq-server info` prints it")
    parser.add_argument("--token-file", required=True, help="a resumption token in base64url; replaced by the next one")
    parser.add_argument("--deadline", type=float, default=60, help="seconds for everything")
    arguments = parser.parse_args()
    await asyncio.wait_for(talk(arguments), arguments.deadline)


if __name__ == "__main__":
    try:
        asyncio.run(capnp.run(main()))
    except (Refused, TimeoutError) as error:
        sys.exit(f"error: {error or 'nothing came in time'}")
