"""Seeds for everything random in a run, each a function of what it is for."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A seed for one purpose, such as one step of one run: unrelated to all others, and the same on every machine.

    Neighbouring numbers make poor seeds of neighbouring steps, and Python's own ``hash`` differs between processes.
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")
