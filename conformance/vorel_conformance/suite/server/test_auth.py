"""Authentication: 401 without a valid key in the Authorization header."""

from __future__ import annotations

from vorel_conformance.http.placeholders import resolve
from vorel_conformance.session.probe import NO_KEY, Probe
from vorel_conformance.suite import covers

# Invalid Authorization headers. ${full.0} is a valid key, ${random.n} was never issued.
MALFORMED = {
    "another scheme": "Basic dXNlcjpwYXNzd29yZA==",
    "another scheme, a valid key": "Token ${full.0}",
    "Basic and a valid key": "Basic ${full.0}",
    "Basic, a valid key as the user": "Basic ${full.0|basic.0}",
    "Basic, a valid key as the password": "Basic ${full.0|basic.1}",
    "ApiKey and a valid key": "ApiKey ${full.0}",
    "Key and a valid key": "Key ${full.0}",
    "Digest and a valid key": "Digest ${full.0}",
    "a colon after the scheme": "Bearer: ${full.0}",
    "an equals sign after the scheme": "Bearer=${full.0}",
    "no scheme": "${full.0}",
    "nothing after the scheme": "Bearer",
    "the scheme twice": "Bearer Bearer ${full.0}",
    "two keys": "Bearer ${full.0} ${full.0}",
    "a quoted key": 'Bearer "${full.0}"',
    "a comma after the key": "Bearer ${full.0},",
    "one word": "Bearer${full.0}",
    "another prefix": "Bearer sk_live_0123456789abcdef0123456789abcdef0123456789abcdef",
    "an unknown environment": "Bearer vapk_prod_${counting.48}",
    "a valid key under another prefix": "Bearer sk_live_${full.0|from.10}",
    "a valid key of another environment": "Bearer vapk_test_${full.0|from.10}",
    "the digits of a valid key alone": "Bearer ${full.0|from.10}",
    "a valid key with an escape": "Bearer ${full.0|cut.4}%5F${full.0|from.5}",
    "the prefix alone": "Bearer vapk_live_",
    "too short": "Bearer ${random.1|cut.57}",
    "too long": "Bearer ${random.2|add.1}",
    "not hexadecimal": "Bearer vapk_live_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "beyond ASCII": "Bearer vapk_live_\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9",
    "an injection": "Bearer ' OR '1'='1' --",
    "very long": "Bearer vapk_live_${zeros.4000}",
    "null": "Bearer null",
}
# The indexes of a key's hexadecimal digits.
DIGITS = range(10, 58)
# A valid key with another length. The usual look-up prefix has 22 characters.
ALTERED = {
    "cut after the prefix": "${full.0|cut.22}",
    "cut by one": "${full.0|cut.57}",
    "one digit more": "${full.0|add.1}",
}


@covers("auth.missing", requests=4, writes=False)
def test_missing_key(probe: Probe) -> None:
    for operation in probe.operations:
        probe.expect("auth.missing", "no Authorization header", probe.valid(operation, key=NO_KEY), {401})
        empty = probe.valid(operation, key=NO_KEY, headers=[("Authorization", "")])
        probe.expect("auth.missing", "an empty Authorization header", empty, {401})


@covers("auth.malformed", requests=2 * len(MALFORMED), writes=False)
def test_malformed_key(probe: Probe) -> None:
    for operation in probe.operations:
        for label, value in MALFORMED.items():
            request = probe.valid(operation, key=NO_KEY, headers=[("Authorization", value)])
            probe.expect("auth.malformed", label, request, {401})


@covers("auth.unknown", requests=8, writes=False)
def test_unknown_key(probe: Probe) -> None:
    for operation in probe.operations:
        zeros = probe.valid(operation, key=NO_KEY, headers=[("Authorization", "Bearer vapk_live_${zeros.48}")])
        probe.expect("auth.unknown", "a key of zeros", zeros, {401})
        for n in range(3):
            probe.expect("auth.unknown", f"unknown key {n}", probe.valid(operation, key=f"random.{n}"), {401})


@covers("auth.revoked", requests=lambda size: 4 * ("revoked" in size.singles), writes=False)
def test_revoked_key(probe: Probe) -> None:
    if not probe.has("revoked", "auth.revoked"):
        return
    for operation in probe.operations:
        for _ in range(2):
            probe.expect("auth.revoked", "the revoked key", probe.valid(operation, key="revoked"), {401})


@covers("auth.whole-key", requests=2 * len(ALTERED) + len(DIGITS), writes=False)
def test_altered_key(probe: Probe) -> None:
    if len(probe.target.full[0]) != len("vapk_live_") + 48:
        probe.session.gap(
            "auth.whole-key", "keys.full[0] does not have the form of a key: vapk_live_ and 48 hexadecimal digits"
        )
        return
    for operation in probe.operations:
        for label, key in ALTERED.items():
            request = probe.valid(operation, key=NO_KEY, headers=[("Authorization", f"Bearer {key}")])
            probe.expect("auth.whole-key", label, request, {401})
    operations = probe.operations
    for place in DIGITS:
        if resolve(f"${{full.0|flip.{place}}}", probe.target, probe.session.client.seed) in probe.target.secrets:
            continue  # the keys of a mock may differ in one digit
        header = ("Authorization", f"Bearer ${{full.0|flip.{place}}}")
        request = probe.valid(operations[place % len(operations)], key=NO_KEY, headers=[header])
        probe.expect("auth.whole-key", f"another digit at position {place - DIGITS.start + 1}", request, {401})


MOST_KEYS = 20  # of keys.full, besides the first, that are altered


@covers("auth.whole-key", requests=lambda size: 2 * min(MOST_KEYS, size.full - 1), writes=False)
def test_other_keys_altered(probe: Probe) -> None:
    """Not only the first key is compared whole."""
    for n, key in enumerate(probe.target.full[1 : MOST_KEYS + 1], 1):
        if len(key) != DIGITS.stop:
            continue
        place = DIGITS[n * 5 % len(DIGITS)]
        altered = {f"another digit at position {place - DIGITS.start + 1}": f"flip.{place}", "cut by one": "cut.57"}
        operation = probe.operations[n % len(probe.operations)]
        for label, change in altered.items():
            value = f"${{full.{n}|{change}}}"
            if resolve(value, probe.target, probe.session.client.seed) in probe.target.secrets:
                continue
            request = probe.valid(operation, key=NO_KEY, headers=[("Authorization", f"Bearer {value}")])
            probe.expect("auth.whole-key", f"full.{n}, {label}", request, {401})


QUERIES = ("api_key", "apikey", "access_token", "token", "key", "authorization")
HEADERS = {
    "X-Api-Key": "${full.0}",
    "Api-Key": "${full.0}",
    "ApiKey": "${full.0}",
    "X-Auth-Token": "${full.0}",
    "X-Access-Token": "${full.0}",
    "X-Authorization": "Bearer ${full.0}",
    "X-Forwarded-Authorization": "Bearer ${full.0}",
    "Proxy-Authorization": "Bearer ${full.0}",
    "Cookie": "; ".join(f"{name}=${{full.0}}" for name in (*QUERIES, "session")),
}
MEMBERS = ("api_key", "access_token", "token")


@covers("auth.header-only", requests=2 * (len(QUERIES) + len(HEADERS) + 1), writes=False)
def test_key_elsewhere(probe: Probe) -> None:
    for operation in probe.operations:
        for name in QUERIES:
            valid = probe.valid(operation, key=NO_KEY)
            request = type(valid)(valid.method, f"{valid.path}?{name}=${{full.0}}", valid.headers, valid.body)
            probe.expect("auth.header-only", f"the key as ?{name}=", request, {401})
        for name, value in HEADERS.items():
            request = probe.valid(operation, key=NO_KEY, headers=[(name, value)])
            probe.expect("auth.header-only", f"the key in {name}", request, {401})
        body = (probe.handoff_body if operation.takes_lead else probe.record_body)(
            **dict.fromkeys(MEMBERS, "${full.0}")
        )
        request = probe.request(operation, body, key=NO_KEY)
        # 400 is valid for a server that checks the body first and rejects unknown members.
        probe.expect("auth.header-only", "the key in the body", request, {401, 400})


@covers("auth.accepts-valid", requests=2)
def test_valid_key(probe: Probe) -> None:
    """Every request with a valid key is checked. These two are for a run of this clause alone."""
    for operation in probe.operations:
        probe.send(probe.valid(operation))
