"""A channel plugin that is no Rust crate: carrier pigeons, over NATS (`pip install nats-py`).

    python3 pigeon_plugin.py nats://127.0.0.1:4222 [--shape plain] < MESSAGES

Each line of standard input is a pigeon that arrives: its sender, a space, what it brings. What is to be
sent leaves on standard output, a JSON object a line. It answers what the gate asks in Nexo's events or, with
`--shape plain`, as a service of NATS does; a plugin needs only one of the two.
"""

import argparse
import asyncio
import datetime
import json
import sys
import uuid

import nats

PREFIX = "plugin.pigeon"
INBOUND = "plugin.inbound.pigeon.loft"


def normalize(raw):
    """`Pigeon 007`, `pigeon#7` and `7` are one sender; whatever has no number is nobody."""
    digits = raw.lower().removeprefix("pigeon").lstrip(" #")
    return str(int(digits)) if digits.isascii() and digits.isdigit() else None


def answer(question, body):
    if question == "normalize_sender":
        return {"normalized": normalize(body["raw"])}
    if question == "send_reply":
        print(json.dumps({"to": body["to"], "text": body["text"]}))
        return {"ok": True}
    return {"ok": False, "error": f"pigeons know no {question}"}


def event(topic, payload):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    head = {"id": str(uuid.uuid4()), "timestamp": now, "topic": topic, "source": PREFIX}
    return json.dumps({**head, "session_id": None, "payload": payload}).encode()


async def main(arguments):
    bus = await nats.connect(arguments.server, max_reconnect_attempts=-1)

    async def asked(message):
        request = json.loads(message.data)
        question = message.subject.rsplit(".", 1)[1]
        if arguments.shape == "plain":
            await message.respond(json.dumps(answer(question, request)).encode())
        else:
            inside = request["payload"]
            reply = {**inside, "payload": answer(question, inside["payload"])}
            await bus.publish(inside["reply_to"], event(inside["reply_to"], reply))

    await bus.subscribe(f"{PREFIX}.pairing.*", cb=asked)
    await bus.flush()
    print(json.dumps({"ready": PREFIX}))
    while line := await asyncio.to_thread(sys.stdin.readline):
        sender, _, text = line.rstrip("\n").partition(" ")
        message = {"kind": "message", "from": sender, "text": text, "is_group": False}
        await bus.publish(INBOUND, event(INBOUND, message))
    await bus.drain()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("--shape", choices=["event", "plain"], default="event")
    asyncio.run(main(parser.parse_args()))
