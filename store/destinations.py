"""Where a webhook may lead: which addresses may be written down, and which machines may be reached.

Pure: nothing is looked up or opened here. The API asks when a webhook is made, and whoever connects asks
again, for the name that was written may lead somewhere else by then.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from store.errors import BadDestination

LONGEST_URL: Final = 2000
_LONGEST_HOST: Final = 253
_SCHEMES: Final = {"https": 443, "http": 80}
_FIRST_FREE_PORT: Final = 1024

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#\\]*)(?P<target>[^#]*)", re.I)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:@]+)(?::(?P<port>[0-9]{1,5}))?", re.I)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INNER_NAMES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".onion", ".invalid")
"""Names that no public server has (RFC 6761, 6762, 7686, 8375, and ICANN's `.internal`)."""

_CLOSED_4: Final = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers' customers; one cloud's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # public by its number, and one cloud's inner services
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays from IPv6, given up
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast
    )
]
_GLOBAL_6: Final = IPv6Network("2000::/3")
"""The only part of IPv6 that has been opened; loopback, private, link-local and multicast lie outside."""
_CLOSED_6: Final = [
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, benchmarks, identifiers that are no places
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which is judged by what it wraps
        "3fff::/20",  # documentation
    )
]
_NAT64: Final = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Destination:
    """An address taken apart; its host is in lower case, and an IPv6 address stands without brackets."""

    scheme: str
    host: str
    port: int
    target: str
    private: bool
    """Exempt by the settings: it may be any machine, and be spoken to without TLS."""

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _SCHEMES[self.scheme] else f"{host}:{self.port}"


def private_hosts(text: str) -> frozenset[str]:
    """The hosts of a comma-separated list; ValueError for what is no plain name or address."""
    hosts = [host.strip().strip("[]").lower() for host in text.split(",") if host.strip()]
    for host in hosts:
        if not (_is_address(host) or _is_name(host)):
            raise ValueError(
                f"{host!r} is no host: write plain names or addresses, such as `hooks.example.com`"
            )
    return frozenset(hosts)


def destination(url: str, private: Collection[str] = ()) -> Destination:
    """A URL taken apart; `BadDestination` where it is none that a webhook may have.

    That its name leads to public machines only is seen when it is looked up: ask `is_public` then.
    """
    scheme, authority, target = _split(url)
    host, port = _host_and_port(authority)
    exempt = host in private
    if not exempt:
        _check_name(host)
        if scheme == "http":
            raise BadDestination("webhooks are sent over TLS only", "https" + url[len("http") :])
        _check_port(port)
    return Destination(scheme, host, _SCHEMES[scheme] if port is None else port, target, exempt)


def _split(url: str) -> tuple[str, str, str]:
    if len(url) > LONGEST_URL:
        raise BadDestination(f"a URL has at most {LONGEST_URL} characters, and this has {len(url)}")
    if not url.isascii():
        raise BadDestination("a URL is written in ASCII", _in_ascii(url))
    if not url.isprintable() or " " in url or "\\" in url:
        raise BadDestination("a URL has no spaces, backslashes or control characters; write %20 and the like")
    found = _URL.match(url)
    if found is None or found["scheme"].lower() not in _SCHEMES:
        raise BadDestination("this is no address to send to", "https://example.com/ridgeline")
    if found.end() != len(url):
        raise BadDestination("what follows # is never sent; leave it out", url[: found.end()])
    target = found["target"] or "/"
    return found["scheme"].lower(), found["authority"], target if target.startswith("/") else f"/{target}"


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise BadDestination(
            "a URL with a name or password in it is not taken; the signature proves who sends"
        )
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise BadDestination("there is no host in this URL", "https://example.com/ridgeline")
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 1 <= port <= 65535:
        raise BadDestination(f"there is no port {port}", "leave the port out")
    host = found["host"].strip("[]").lower().removesuffix(".")
    if not (_is_address(host) if found["host"].startswith("[") else _is_address(host) or _is_name(host)):
        raise BadDestination(
            f"{host[:80]!r} is no host that could be looked up", "https://example.com/ridgeline"
        )
    return host, port


def _check_name(host: str) -> None:
    """Refuse what leads nowhere public as it stands; where a name leads to is seen when it is looked up."""
    inner = "." not in host or host.endswith(_INNER_NAMES)
    if not is_public(host) if _is_address(host) else inner:
        raise BadDestination(
            f"{host[:80]!r} is not public",
            "whoever runs this server may name it in RIDGELINE_WEBHOOK_PRIVATE_HOSTS",
        )


def _check_port(port: int | None) -> None:
    if port is not None and port != _SCHEMES["https"] and port < _FIRST_FREE_PORT:
        raise BadDestination(f"port {port} belongs to another service", "443, or one from 1024 on")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _is_name(host: str) -> bool:
    """A name by its letters; one that ends in a number would be read as an address by some, so it is none."""
    labels = host.split(".")
    fitting = len(host) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)
    return fitting and not _NUMERIC.fullmatch(labels[-1])


def _in_ascii(url: str) -> str | None:
    """The same URL with its host as DNS knows it, where that is all that was wrong with it."""
    found = _URL.match(url)
    if found is None:
        return None
    try:
        ascii_host = found["authority"].encode("idna").decode()
    except UnicodeError:
        return None
    mended = url.replace(found["authority"], ascii_host, 1)
    return mended if mended.isascii() else None


def is_public(address: str) -> bool:
    """Whether an address is that of one public machine, whatever it is wrapped in."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return all(_is_open(each) for each in _unwrapped(parsed))


def _unwrapped(address: IPv4Address | IPv6Address) -> tuple[IPv4Address | IPv6Address, ...]:
    """Where packets to an address end: translators and tunnels carry an IPv4 address within an IPv6 one.

    `64:ff9b:1::/48` is not among them: an operator's own translators lead into his network, so it stays what
    it is, an address outside the public ones.
    """
    if isinstance(address, IPv4Address):
        return (address,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return address.teredo or (address.ipv4_mapped or address.sixtofour or address,)


def _is_open(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_4)
    closed = any(address in network for network in _CLOSED_6)
    return address in _GLOBAL_6 and not closed and address.scope_id is None
