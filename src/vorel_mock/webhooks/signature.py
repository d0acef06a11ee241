"""X-Webhook-Signature: HMAC-SHA256 of the raw body bytes, keyed with the subscription's secret, lower-case hex."""

import hmac
from hashlib import sha256

HEADER = "X-Webhook-Signature"


def sign(secret: str, body: bytes) -> str:
    """The signature of `body`: 64 lower-case hexadecimal digits."""
    return hmac.new(secret.encode(), body, sha256).hexdigest()


def verify(secret: str, body: bytes, header: str) -> bool:
    """Return True if `header` is the signature of `body`. Compares in constant time."""
    # As bytes: compare_digest refuses text beyond ASCII, and a header may hold anything.
    return hmac.compare_digest(sign(secret, body).encode(), header.encode("utf-8", "surrogatepass"))
