"""Where webhooks may lead: a table of addresses and URLs, and every special network from end to end."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest

from store.destinations import Destination, destination, is_public, private_hosts
from store.errors import BadDestination

PUBLIC_4 = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
]
PUBLIC_4 += [
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "168.63.129.15",
]
PUBLIC_6 = ["2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2001:200::1", "3ffe:ffff::1"]

SPECIAL = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:db8::/32",
    "3fff::/20",
    "4000::/3",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "ff02::1/128",
]


def ends_of(network: IPv4Network | IPv6Network) -> list[IPv4Address | IPv6Address]:
    """First, last, and some between."""
    chance = random.Random(str(network))
    inner = [chance.randrange(network.num_addresses) for _ in range(20)]
    return [network[0], network[-1], *(network[place] for place in inner)]


@pytest.mark.parametrize("address", PUBLIC_4 + PUBLIC_6)
def test_public_machines_may_be_reached(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("network", SPECIAL)
def test_special_networks_may_not(network: str) -> None:
    assert [str(each) for each in ends_of(ip_network(network)) if is_public(str(each))] == []


def wrapped(address: IPv4Address) -> dict[str, IPv6Address]:
    """An IPv4 address in everything that carries one."""
    number = int(address)
    flipped = number ^ 0xFFFF_FFFF
    public = int(IPv4Address("65.54.227.120"))
    return {
        "mapped": IPv6Address((0xFFFF << 32) | number),
        "NAT64": IPv6Address((0x64_FF9B << 96) | number),
        "6to4": IPv6Address((0x2002 << 112) | (number << 80) | 1),
        "Teredo client": IPv6Address((0x2001_0000 << 96) | (public << 64) | flipped),
        "Teredo server": IPv6Address((0x2001_0000 << 96) | (number << 64) | (public ^ 0xFFFF_FFFF)),
    }


@pytest.mark.parametrize("network", [network for network in SPECIAL if ":" not in network])
def test_wrapping_hides_nothing(network: str) -> None:
    inside = [each for each in ends_of(ip_network(network)) if isinstance(each, IPv4Address)]
    reached = [(how, str(each)) for each in inside for how, it in wrapped(each).items() if is_public(str(it))]
    assert reached == []


@pytest.mark.parametrize("address", PUBLIC_4)
def test_what_is_wrapped_is_judged_and_not_the_wrapping(address: str) -> None:
    assert all(is_public(str(each)) for each in wrapped(IPv4Address(address)).values())


def test_translators_of_an_operators_own_lead_inside() -> None:
    public = int(IPv4Address("8.8.8.8"))
    assert not is_public(str(IPv6Address((0x64_FF9B_0001 << 80) | public)))


def test_nothing_passes_that_python_knows_to_be_special() -> None:
    """Python passes more than we do (multicast, NAT64, 6to4), and must never pass less."""
    chance = random.Random(0)
    four = [IPv4Address(chance.randrange(2**32)) for _ in range(20_000)]
    six = [IPv6Address(chance.randrange(2**128)) for _ in range(5_000)]
    near = [IPv6Address((0x2001 << 112) | chance.randrange(2**112)) for _ in range(5_000)]
    passed = [each for each in (*four, *six, *near) if is_public(str(each))]
    assert len(passed) > 10_000
    inner = [each.teredo[1] if isinstance(each, IPv6Address) and each.teredo else each for each in passed]
    assert [each for each in inner if not each.is_global or each.is_multicast] == []


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "2606:4700::1111%1", "", "example.com", "1.2.3", "1.2.3.4.5", "0x7f.1"]
)
def test_what_is_no_plain_address_is_not_public(text: str) -> None:
    assert not is_public(text)


# ── URLs ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_url_is_taken_apart() -> None:
    assert destination("https://Hooks.Example.com/a/b?c=d%20e") == Destination(
        "https", "hooks.example.com", 443, "/a/b?c=d%20e", False
    )
    assert destination("HTTPS://example.com:8443").authority == "example.com:8443"
    assert destination("https://example.com.").host == "example.com"
    assert destination("https://example.com?x").target == "/?x"
    assert destination("https://[2606:4700:4700::1111]/x").authority == "[2606:4700:4700::1111]"
    assert destination("https://8.8.8.8").host == "8.8.8.8"
    assert destination("https://example.com:443/").authority == "example.com"


REFUSED = {
    "http://example.com/": ("TLS", "https://example.com/"),
    "ftp://example.com/": ("no address", "https"),
    "example.com/hook": ("no address", "https"),
    "": ("no address", "https"),
    "https://": ("no host", "https"),
    "https:///path": ("no host", "https"),
    "https://user@example.com/": ("name or password", None),
    "https://user:secret@example.com/": ("name or password", None),
    "https://example.com#part": ("#", "https://example.com"),
    "https://example.com/a b": ("spaces", None),
    "https://example.com\\@127.0.0.1/": ("backslashes", None),
    "https://example.com/\r\nHost: x": ("control", None),
    "https://bücher.example/x": ("ASCII", "https://xn--bcher-kva.example/x"),
    "https://example.com/ü": ("ASCII", None),
    "https://ex*mple.com/": ("no host", None),
    "https://-a.com/": ("no host", None),
    "https://a..com/": ("no host", None),
    f"https://{'a' * 64}.com/": ("no host", None),
    f"https://{'a.' * 130}com/": ("no host", None),
    f"https://example.com/{'a' * 2000}": ("at most 2000", None),
    "https://localhost/": ("not public", "PRIVATE_HOSTS"),
    "https://intranet/": ("not public", "PRIVATE_HOSTS"),
    "https://db.internal/": ("not public", "PRIVATE_HOSTS"),
    "https://printer.local/": ("not public", "PRIVATE_HOSTS"),
    "https://a.localhost./": ("not public", "PRIVATE_HOSTS"),
    "https://127.0.0.1/": ("not public", "PRIVATE_HOSTS"),
    "http://127.0.0.1/": ("not public", "PRIVATE_HOSTS"),
    "https://169.254.169.254/latest": ("not public", "PRIVATE_HOSTS"),
    "https://[::1]/": ("not public", "PRIVATE_HOSTS"),
    "https://[::ffff:10.0.0.1]/": ("not public", "PRIVATE_HOSTS"),
    "https://[fe80::1%25eth0]/": ("no host", None),
    "https://[example.com]/": ("no host", None),
    "https://127.1/": ("no host", None),
    "https://2130706433/": ("no host", None),
    "https://0x7f000001/": ("no host", None),
    "https://0177.0.0.1/": ("no host", None),
    "https://1.2.3.4.5/": ("no host", None),
    "https://example.com:22/": ("another service", "443"),
    "https://example.com:80/": ("another service", "443"),
    "https://example.com:0/": ("port 0", "leave"),
    "https://example.com:65536/": ("port 65536", "leave"),
    "https://example.com:443443/": ("no host", None),
    "https://example.com:/": ("no host", None),
}


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_leads_nowhere_is_refused_with_words(url: str) -> None:
    detail, suggestion = REFUSED[url]
    with pytest.raises(BadDestination) as refused:
        destination(url)
    assert detail in str(refused.value)
    if suggestion:
        assert suggestion in (refused.value.suggestion or "")
    if suggestion and suggestion.startswith("https://") and len(suggestion) > 8:
        destination(suggestion)


def test_private_hosts_are_exempt_by_their_very_name() -> None:
    exempt = private_hosts("127.0.0.1, Hooks.Internal,[::1]")
    assert exempt == {"127.0.0.1", "hooks.internal", "::1"}
    assert destination("http://127.0.0.1:8123/x", exempt) == Destination(
        "http", "127.0.0.1", 8123, "/x", True
    )
    assert destination("http://hooks.internal", exempt).port == 80
    assert destination("http://[::1]:9/", exempt).authority == "[::1]:9"
    for other in ("http://127.0.0.2:8123/x", "https://a.hooks.internal/", "https://localhost/"):
        with pytest.raises(BadDestination):
            destination(other, exempt)


@pytest.mark.parametrize("text", ["http://a.example", "a.example:80", "*.example.com", "a b", "a/b"])
def test_a_list_of_private_hosts_holds_hosts(text: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        private_hosts(text)
