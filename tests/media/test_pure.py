"""What bytes are, and which URLs may be fetched."""

from __future__ import annotations

import ipaddress

import pytest

from batchgen.core.messages import DiskTrouble
from batchgen.media.address import check, is_public, resolve, shown
from batchgen.media.sniff import kind_of, plain_type
from batchgen.media.trouble import Trouble, of_disk


@pytest.mark.parametrize(
    ("head", "declared", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n", "video/mp4", ".png"),
        (b"\xff\xd8\xff\xe0", "", ".jpg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "", ".webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/mpeg", ".wav"),
        (b"GIF89a", "", ".gif"),
        (b"\x00\x00\x00\x20ftypisom", "application/octet-stream", ".mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", "video/mp4", ".mov"),
        (b"\x00\x00\x00\x14ftypM4A ", "", ".m4a"),
        (b"\x00\x00\x00\x14ftypavif", "", ".avif"),
        (b"\x1aE\xdf\xa3\x01\x00\x42\x82\x84webm", "", ".webm"),
        (b"\x1aE\xdf\xa3\x01\x00matroska", "", ".mkv"),
        (b"OggS" + b"\0" * 24 + b"OpusHead", "", ".opus"),
        (b"OggS" + b"\0" * 24 + b"\x01vorbis", "", ".ogg"),
        (b"fLaC", "", ".flac"),
        (b"ID3\x04", "", ".mp3"),
        (b"\xff\xfb\x90\x00", "", ".mp3"),
        (b"\xff\xf1\x50", "", ".aac"),
        (b"\x01\x02\x03", "audio/pcm", ".pcm"),
        (b"\x01\x02\x03", "video/mp4", ".mp4"),
        (b"\x01\x02\x03", "audio/ogg", ".ogg"),
        (b"\x01\x02\x03", "", ".bin"),
        (b"\x01\x02\x03", "application/x-new", ".bin"),
        (b"<svg xmlns='x'>", "image/svg+xml", ".svg"),
    ],
)
def test_suffix(head: bytes, declared: str, suffix: str) -> None:
    """The bytes win over the Content-Type, and what nobody knows is kept: it is paid for."""
    found = kind_of(head, declared)
    assert found is not None
    assert found.suffix == suffix


@pytest.mark.parametrize(
    ("head", "declared"),
    [
        (b"<!DOCTYPE html><html>", "video/mp4"),
        (b"  \n<html>", ""),
        (b"\xef\xbb\xbf<HTML>", ""),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied', "video/mp4"),
        (b'{"error": "expired"}', "image/png"),
        (b"not found", "text/html"),
        (b"\x01\x02", "application/json"),
    ],
)
def test_pages_are_no_media(head: bytes, declared: str) -> None:
    """An error page is no render, whatever its Content-Type says."""
    assert kind_of(head, declared) is None


def test_plain_type() -> None:
    """Parameters and nonsense are dropped."""
    assert plain_type("Video/MP4; codecs=x") == "video/mp4"
    assert plain_type("../../etc/passwd\0") == ""


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse, none to bind
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("4000::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
    ],
)
def test_public_addresses(text: str, *, public: bool) -> None:
    """Only the open internet counts, also behind the ways to wrap an IPv4 address."""
    assert is_public(ipaddress.ip_address(text)) is public


HOSTS = {
    "good.example": ["93.184.216.34", "2606:2800:220:1::1"],
    "mixed.example": ["93.184.216.34", "10.0.0.1"],
    "here.example": ["127.0.0.1"],
    "half.example": ["127.0.0.1", "10.0.0.1"],
    "empty.example": [],
}


async def names(host: str, port: int) -> list[str]:
    """Pretend to be the name service."""
    if host not in HOSTS:
        raise OSError(f"no such host: {host}")
    return HOSTS[host]


def direct(scheme: str, host: str) -> bool:
    """Say that there is no proxy."""
    return False


@pytest.mark.anyio
async def test_good_url() -> None:
    """A public https URL is fetched at the addresses that were checked."""
    target = await check("https://good.example/a?sig=1", names, allow_loopback=False, proxied=direct)
    assert (target.host, target.addresses) == ("good.example", ("93.184.216.34", "2606:2800:220:1::1"))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url",
    [
        "http://good.example/a",
        "file:///etc/passwd",
        "ftp://good.example/a",
        "data:image/png;base64,AAAA",
        "//good.example/a",
        "",
        "https://",
        "https://[::1",
        "https://good.example:99999/",
        "https://good.example/a b",
        "https://good.example\\@evil/",
        "https://good.example/\x00",
        "https://user:hunter2@good.example/a",
        "https://user@good.example/a",
        "https://10.0.0.1/a",
        "https://[::1]/a",
        "https://[::ffff:169.254.169.254]/a",
        "https://mixed.example/a",
        "https://here.example/a",
        "http://here.example/a",
        "http://127.0.0.1/a",
    ],
)
async def test_hostile_urls(url: str) -> None:
    """A result URL that leads to this machine, its neighbours or anything but https is refused, without its secrets in words."""
    with pytest.raises(Trouble) as caught:
        await check(url, names, allow_loopback=False, proxied=direct)
    assert caught.value.kind is DiskTrouble.REFUSED
    assert "hunter2" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["2130706433", "0x7f.1", "127.1", "0"])
async def test_odd_spellings_of_this_machine(text: str) -> None:
    """A host that only the resolver understands as this machine is refused too."""
    with pytest.raises(Trouble) as caught:
        await check(f"https://{text}/", resolve, allow_loopback=False, proxied=direct)
    assert caught.value.kind is DiskTrouble.REFUSED


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["https://nowhere.example/a", "https://empty.example/a"])
async def test_unknown_host_may_come_back(url: str) -> None:
    """A host that is not found now is no reason to give a paid render up."""
    with pytest.raises(Trouble) as caught:
        await check(url, names, allow_loopback=False, proxied=direct)
    assert caught.value.kind is DiskTrouble.CUT


@pytest.mark.anyio
async def test_loopback_only_for_the_sandbox() -> None:
    """With the API on this machine loopback is allowed, and nothing else private."""
    target = await check("http://here.example:8/a", names, allow_loopback=True, proxied=direct)
    assert target.addresses == ("127.0.0.1",)
    for url in ("http://good.example/a", "https://mixed.example/a", "https://half.example/a", "https://10.0.0.1/"):
        with pytest.raises(Trouble):
            await check(url, names, allow_loopback=True, proxied=direct)


@pytest.mark.anyio
async def test_behind_a_proxy() -> None:
    """Names are the proxy's to resolve; literal private addresses and http are refused all the same."""
    target = await check("https://nowhere.example/a", names, allow_loopback=False, proxied=lambda *_: True)
    assert target.addresses == ()
    for url in ("http://nowhere.example/a", "https://10.0.0.1/"):
        with pytest.raises(Trouble):
            await check(url, names, allow_loopback=False, proxied=lambda *_: True)


def test_shown_url_has_no_signature() -> None:
    """The query of a signed URL is a password."""
    assert shown("https://a/b?X-Sig=secret\n") == "https://a/b"


def test_disk_errors_in_plain_words() -> None:
    """A person reads what is wrong and where."""
    assert str(of_disk(OSError(28, "No space left on device", "/r/a.part"))) == "/r/a.part: the disk is full"
    assert str(of_disk(OSError(12345, "Odd"))) == "Odd"
