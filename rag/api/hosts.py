"""What name a request calls this server by, and which page it comes from.

A page of another host can make a browser send requests here. With a name that it lets point to this machine (DNS
rebinding) it could even read the answers, so on a loopback address only loopback names are taken; and what changes
something must come from a page of this server, or from no page.
"""

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request

from rag.config import Settings
from rag.errors import Misdirected, NotAllowed

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine for itself."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool(address.is_loopback or (mapped is not None and mapped.is_loopback))


def is_own_caller(request: Request) -> bool:
    """Whether a request comes from this machine itself, and was not passed on by a proxy that says so."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    return is_loopback(request.client.host)


class HostCheck:
    """Refuses requests to other names and from pages of other hosts."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.allowed_hosts)
        self._on_loopback = is_loopback(settings.host)

    def check(self, request: Request) -> None:
        """See whether a request is meant for this server.

        Raises:
            Misdirected: it names another host.
            NotAllowed: it would change something and comes from a page of another host.
        """
        given = request.headers.getlist("host")
        name, port = _name_and_port(f"//{given[0]}") if len(given) == 1 else ("", None)
        if (self._on_loopback or self._allowed) and not (name in self._allowed or is_loopback(name)):
            raise Misdirected(
                "This server is not called so; ask it by its own name, or add that name to the setting allowed_hosts."
            )
        origin = request.headers.get("origin")
        if origin is None or request.method in SAFE_METHODS:
            return
        scheme = origin.partition("://")[0].lower()
        other_name, other_port = _name_and_port(origin)
        default = _DEFAULT_PORTS.get(scheme)
        is_same = bool(name) and (other_name, other_port or default) == (name, port or default)
        if not (is_same or other_name in self._allowed):
            raise NotAllowed(
                "The request comes from a page of another host. If that is this server under the name of its proxy, "
                "add the name to the setting allowed_hosts."
            )


def _name_and_port(url: str) -> tuple[str, int | None]:
    """Lower case, without the brackets of IPv6; nothing where it is malformed."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "", None
