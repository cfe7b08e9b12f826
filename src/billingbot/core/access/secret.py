"""Secrets that we hand out, for keys, sessions, links and steps: only their digests are kept."""

import hashlib


def digest_of(secret: str) -> str:
    """What is stored of a secret. A plain digest suffices: it is 256 random bits, not a password."""
    return hashlib.sha256(secret.encode()).hexdigest()
