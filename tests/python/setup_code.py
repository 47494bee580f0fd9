"""Decodes and verifies setup codes, written from the section "Setup codes" of docs/protocol.md.

    python3 setup_code.py VECTORS.json [SETUP_CODES.json PAIRING.KEY]

checks every test vector and, if they are given, the codes that nexo-pairing 0.1.8 wrote. It ends with
exit code 0 and one line if everything is as it should be. Standard library only.
"""

import datetime
import hashlib
import hmac
import json
import re
import sys
import unicodedata

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# Unicode White_Space; Python's own str.strip() takes a few more.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    chr(c) for c in range(0x2000, 0x200B)
)
SCHEMES = ["wss://", "https://", "ws://", "http://"]


class Refused(Exception):
    """`kind` is malformed, invalid_signature or expired; `part` names the malformed part."""

    def __init__(self, kind, part=None):
        super().__init__(f"{kind} {part or ''}".strip())
        self.kind, self.part = kind, part


def need(condition, part):
    if not condition:
        raise Refused("malformed", part)


def unbase(text, alphabet, part):
    """The bytes of base64url or base32 without padding, read strictly."""
    width = {64: 6, 32: 5}[len(alphabet)]
    bits = ""
    for character in text:
        need(character in alphabet, part)
        bits += format(alphabet.index(character), f"0{width}b")
    whole = len(bits) // 8 * 8
    need(len(bits) - whole < width and "1" not in bits[whole:], part)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, whole, 8))


def read_object(data, part, names, optional=()):
    """A JSON object whose values are all texts."""

    def once(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), part)
        return dict(pairs)

    try:
        read = json.loads(data.decode("utf-8"), object_pairs_hook=once)
        need(isinstance(read, dict), part)
        for name, text in read.items():
            need(name in names or name in optional, part)
            need(isinstance(text, str), part)
            text.encode("utf-8")  # no lone surrogates
    except (ValueError, RecursionError):
        raise Refused("malformed", part) from None
    need(all(name in read for name in names), part)
    return read


def check_url(url):
    need(len(url.encode()) <= 1024, "url")
    scheme = next((s for s in SCHEMES if url.startswith(s)), None)
    need(scheme is not None, "url")
    rest = url[len(scheme) :]
    need(rest and rest[0] not in "/?#" and all("!" <= c <= "~" for c in rest), "url")


def check_profile(profile):
    need(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", profile), "profile")


def check_label(label):
    need(1 <= len(label.encode()) <= 128, "device label")
    need(all(unicodedata.category(c) != "Cc" for c in label), "device label")


def check_time(text):
    form = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z"
    match = re.fullmatch(form, text, re.ASCII)
    need(match, "expiry")
    try:
        datetime.datetime.fromisoformat(match[1])
    except ValueError:
        raise Refused("malformed", "expiry") from None


def nanoseconds(text):
    """Of a checked time, since 1970."""
    seconds, _, fraction = text[:-1].partition(".")
    at = datetime.datetime.fromisoformat(seconds + "+00:00")
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (at - epoch) // datetime.timedelta(seconds=1) * 10**9 + int(fraction.ljust(9, "0"))


class Token:
    """A token that was taken apart; its signature is not checked."""

    def __init__(self, token, part="token"):
        need(len(token.encode()) <= 2048, part)
        self.format = "v1" if "." in token else "v2"
        if self.format == "v1":
            parts = token.split(".")
            need(len(parts) == 2 and all(parts), part)
            self.signed = unbase(parts[0], BASE64URL, "claims")
            self.signature = unbase(parts[1], BASE64URL, "signature")
            need(len(self.signature) == 32, "signature")
        else:
            record = unbase(token, BASE32, part)
            need(record, part)
            need(record[0] == 2, "payload")
            need(len(record) > 16, part)
            self.signed, self.signature = record[:-16], record[-16:]

    def is_signed_with(self, key):
        expected = hmac.new(key, self.signed, hashlib.sha256).digest()
        return hmac.compare_digest(expected[: len(self.signature)], self.signature)

    def claims(self):
        return self._claims_1() if self.format == "v1" else self.record()[1]

    def _claims_1(self):
        names = ["profile", "expires_at", "nonce"]
        claims = read_object(self.signed, "claims", names, ["device_label"])
        check_time(claims["expires_at"])
        check_profile(claims["profile"])
        need(re.fullmatch(r"[0-9a-f]{32}", claims["nonce"]), "nonce")
        if "device_label" in claims:
            check_label(claims["device_label"])
        return claims

    def record(self):
        """URL and claims of a token of version 2."""
        at = 1

        def take(length):
            nonlocal at
            need(at + length <= len(self.signed), "payload")
            at += length
            return self.signed[at - length : at]

        def text(length, part):
            try:
                return take(length).decode("utf-8")
            except UnicodeDecodeError:
                raise Refused("malformed", part) from None

        form = take(1)[0]
        seconds = int.from_bytes(take(4), "big")
        nonce = take(12).hex()
        profile = text(take(1)[0], "profile")
        label = text(take(1)[0], "device label")
        rest = text(int.from_bytes(take(2), "big"), "url")
        need(at == len(self.signed), "payload")
        need(profile != "companion-v1", "profile")
        profile = profile or "companion-v1"
        check_profile(profile)
        epoch = datetime.datetime(1970, 1, 1)
        expires_at = epoch + datetime.timedelta(seconds=seconds)
        claims = {"profile": profile, "expires_at": expires_at.isoformat() + "Z", "nonce": nonce}
        if label:
            check_label(label)
            claims["device_label"] = label
        need(form < 8 and (form & 4 or not rest.endswith("/pair")), "url")
        url = SCHEMES[form & 3] + rest + ("/pair" if form & 4 else "")
        check_url(url)
        return url, claims


def decode_setup_code(payload):
    """What a companion reads: `url`, `bootstrap_token`, `expires_at`. It is not authenticated."""
    need(len(payload.encode()) <= 4096, "payload")
    payload = payload.strip(WHITE_SPACE)
    if not payload.startswith("e"):
        url, claims = Token(payload, "payload").record()
        expires_at = claims["expires_at"]
        return {"url": url, "bootstrap_token": payload, "expires_at": expires_at}
    names = ["url", "bootstrap_token", "expires_at"]
    code = read_object(unbase(payload, BASE64URL, "payload"), "payload", names)
    check_time(code["expires_at"])
    check_url(code["url"])
    need(len(code["bootstrap_token"].encode()) <= 2048, "token")
    need(re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", code["bootstrap_token"]), "token")
    return code


def verify(token, keys, now):
    """What a server does: signature before claims, then expiry. `now` is a time as in a code."""
    token = Token(token)
    if not any(token.is_signed_with(key) for key in keys):
        raise Refused("invalid_signature")
    claims = token.claims()
    if nanoseconds(now) >= nanoseconds(claims["expires_at"]):
        raise Refused("expired")
    return claims


def verify_like_0_1_8(token, key, now):
    """The rules of nexo-pairing 0.1.8, which read version 1 only."""
    claims, dot, signature = token.partition(".")
    need(dot, "token")
    claims = unbase(claims, BASE64URL, "claims")
    expected = hmac.new(key, claims, hashlib.sha256).digest()
    if not hmac.compare_digest(expected, unbase(signature, BASE64URL, "signature")):
        raise Refused("invalid_signature")
    claims = json.loads(claims)
    need({"profile", "expires_at", "nonce"} <= claims.keys(), "claims")
    if nanoseconds(claims["expires_at"]) < nanoseconds(now):
        raise Refused("expired")
    return claims


def refusal(function, *arguments):
    """(kind, part) of a rejected code; (None, None) for a valid one."""
    try:
        function(*arguments)
    except Refused as refused:
        return refused.kind, refused.part
    return None, None


def check_vectors(vectors):
    keys = [bytes.fromhex(key) for key in vectors["keys"]]
    now, count = vectors["now"], 0
    for vector in vectors["valid"]:
        code, name = decode_setup_code(vector["payload"]), vector["name"]
        assert code == vector["setup_code"], (name, code)
        token = code["bootstrap_token"]
        assert Token(token).format == vector["format"], name
        assert verify(token, keys, now) == vector["claims"], name
        if vector["format"] == "v1":
            assert verify_like_0_1_8(token, keys[vector["key"]], now) == vector["claims"], name
        else:
            assert token == vector["payload"].strip(), name
            for length in range(len(token)):
                assert refusal(decode_setup_code, token[:length])[0] == "malformed", name
        count += 1
    for vector in vectors["invalid_payloads"]:
        expected = ("malformed", vector["part"])
        found = refusal(decode_setup_code, vector["payload"])
        assert found == expected, (vector["name"], found)
        count += 1
    for vector in vectors["invalid_tokens"]:
        expected = (vector["error"], vector.get("part"))
        found = refusal(verify, vector["token"], keys, now)
        assert found == expected, (vector["name"], found)
        count += 1
    return count


def check_fixtures(codes, key, now):
    expected = {
        "valid": None,
        "valid_no_label": None,
        "expired": "expired",
        "forged_claims": "invalid_signature",
        "tampered_signature": "invalid_signature",
    }
    assert codes.keys() == expected.keys(), codes.keys()
    for name, error in expected.items():
        code = decode_setup_code(codes[name]["payload"])
        assert code == codes[name]["setup_code"], name
        token = code["bootstrap_token"]
        assert refusal(verify, token, [key], now)[0] == error, name
        assert refusal(verify_like_0_1_8, token, key, now)[0] == error, name
    return len(expected)


def main(arguments):
    with open(arguments[0], encoding="utf-8") as file:
        vectors = json.load(file)
    count = check_vectors(vectors)
    if len(arguments) == 3:
        with open(arguments[1], encoding="utf-8") as file:
            codes = json.load(file)
        with open(arguments[2], "rb") as file:
            # After `expired` ran out, before the others do.
            count += check_fixtures(codes, file.read(), "2030-01-01T00:00:00Z")
    print(f"{count} setup codes are as they should be")


if __name__ == "__main__":
    main(sys.argv[1:])
