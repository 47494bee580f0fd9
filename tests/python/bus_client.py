"""Publishes events in Nexo's envelope before a gate, and checks what comes out behind it.

    bus_client.py SERVER KNOWN BLOCKED SENDERS EVENTS MAX_PENDING

Of the senders +54911000000 and on, the first KNOWN are allowed, the next BLOCKED are blocked, and the rest are
strangers. It ends with exit code 0 and one line if everything is as the rules say. It knows nothing of the
gate but docs/protocol.md.
"""

import asyncio
import collections
import datetime
import json
import sys
import uuid

import nats

TOPIC = "plugin.inbound.whatsapp.personal"
TIMEOUT = 120


def event(sender, text):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    payload = {"kind": "message", "from": f"{sender}@c.us", "text": text, "is_group": False}
    head = {"id": str(uuid.uuid4()), "timestamp": now, "topic": TOPIC, "source": "plugin.whatsapp"}
    return json.dumps({**head, "session_id": None, "payload": payload}).encode()


async def main(server, known, blocked, senders, events, max_pending):
    bus = await nats.connect(server)
    heard = collections.defaultdict(list)

    async def hear(message):
        heard[message.subject].append(message.data)

    for subject in ["pairing.>", "plugin.outbound.>"]:
        await bus.subscribe(subject, cb=hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await bus.flush()

    numbers = [54911000000 + number for number in range(senders)]
    admitted, sent = numbers[:known], {}
    expected = collections.defaultdict(list)
    for count in range(events):
        # Not simply in turn: 7 has no common divisor with the number of senders.
        sender = numbers[count * 7 % senders]
        data = event(sender, f"{sender} {count}")
        if sender in admitted:
            expected[sender].append(data)
        await bus.publish(TOPIC, data)
        if count % 1000 == 999:
            await bus.flush()
    await bus.publish(TOPIC, b"this is no event")
    await bus.flush()

    place = "pairing.admitted.whatsapp.personal"
    total = sum(map(len, expected.values()))

    async def all_there():
        while (
            len(heard[place]) < total
            or len(heard["plugin.outbound.whatsapp.personal"]) < max_pending
            or len(heard["pairing.rejected"]) < 1
        ):
            await asyncio.sleep(0.01)

    try:
        await asyncio.wait_for(all_there(), TIMEOUT)
    except asyncio.TimeoutError:
        return f"not everything came: {[(k, len(v)) for k, v in heard.items()]}"

    # The same bytes, in order per sender, each once.
    came = collections.defaultdict(list)
    for data in heard.pop(place):
        came[int(json.loads(data)["payload"]["text"].split()[0])].append(data)
    if came != expected:
        return "what was admitted is not what was sent"
    challenges = [json.loads(data) for data in heard.pop("plugin.outbound.whatsapp.personal")]
    strangers = {f"+{number}" for number in numbers[known + blocked :]}
    recipients = [one["payload"]["to"] for one in challenges]
    if len(recipients) != max_pending or len(set(recipients)) != max_pending or not set(recipients) <= strangers:
        return f"the wrong ones were challenged: {recipients}"
    if any(one["topic"] != "plugin.outbound.whatsapp.personal" for one in challenges):
        return "a challenge has the wrong topic"
    [rejected] = [json.loads(data) for data in heard.pop("pairing.rejected")]
    if (rejected["subject"], rejected["reason"]) != (TOPIC, "invalid_json"):
        return f"what was no event was rejected otherwise: {rejected}"
    if heard:
        return f"there is more: {list(heard)}"
    await bus.close()
    return None


problem = asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
if problem:
    sys.exit(problem)
print("everything is as the rules say")
