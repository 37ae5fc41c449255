"""What is checked before a connection is built."""

from __future__ import annotations

import pytest

from batchgen.core.address import check_base_url, is_loopback, without_password
from batchgen.errors import KeyRefused, UsageError
from batchgen.rivya.client import Client
from batchgen.rivya.key import check_key


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("https://rivya.ai", "https://rivya.ai"),
        (" https://rivya.ai/ ", "https://rivya.ai"),
        ("https://rivya.ai/api/v1/", "https://rivya.ai"),
        ("https://gate.example:8443/rivya", "https://gate.example:8443/rivya"),
        ("https://gate.example/RELAX", "https://gate.example/RELAX"),
        ("https://gate.example/RELAX/api/v1", "https://gate.example/RELAX"),
        ("https://gate.example/api/v1/rivya", "https://gate.example/api/v1/rivya"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://api.localhost", "http://api.localhost"),
    ],
)
def test_good_base_urls(text: str, base: str) -> None:
    """Https anywhere, http only on this machine."""
    assert check_base_url(text) == base


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "cannot be read"),
        ("rivya.ai", "cannot be read"),
        ("https://", "cannot be read"),
        ("https://ri vya.ai", "cannot be read"),
        ("https://rivya.ai\\@evil.example", "cannot be read"),
        ("https://rivya.ai\\evil.example", "cannot be read"),
        ("https://rivya.ai:port", "cannot be read"),
        ("https://[::1", "cannot be read"),
        ("https://rivya\u0430.ai", "cannot be read"),
        ("https://rivya.ai/\x07", "cannot be read"),
        ("http://rivya.ai", "not https"),
        ("http://127.0.0.1.evil.example", "not https"),
        ("http://localhost.evil.example", "not https"),
        ("http://10.0.0.1", "not https"),
        ("ftp://rivya.ai", "not https"),
        ("file://host/etc/passwd", "not https"),
        ("https://user:hunter2@rivya.ai", "user name or password"),
        ("https://user@rivya.ai", "user name or password"),
        ("https://rivya.ai/?a=1", "query"),
        ("https://rivya.ai/#x", "query"),
        ("https://rivya.ai?", "query"),
    ],
)
def test_bad_base_urls(text: str, word: str) -> None:
    """A base URL that would be unsafe or cannot be meant is refused, and a password in it is not repeated."""
    with pytest.raises(UsageError, match=word) as caught:
        check_base_url(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  ", "rvya_sk_1\n", " rvya_sk_1", "rvya sk", "rvya\x00sk", "rvya\nsk", "schlüssel", "x" * 5_000])
def test_bad_keys(key: str) -> None:
    """A key that no header could carry is refused in words that do not hold it."""
    with pytest.raises(KeyRefused) as caught:
        Client("https://rivya.ai", key)
    assert len(key) < 3 or key.strip() not in str(caught.value)


def test_good_key() -> None:
    """A key is used as it is."""
    assert check_key("rvya_sk_A-z.9/+=") == "rvya_sk_A-z.9/+="


@pytest.mark.parametrize(("host", "ours"), [("127.0.0.1", True), ("LOCALHOST.", True), ("::1", True), ("128.0.0.1", False), ("", False)])
def test_loopback(host: str, *, ours: bool) -> None:
    """This machine is known by its name alone, without asking a resolver."""
    assert is_loopback(host) is ours


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:a:b@c/d@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        (
            "postgresql://host/db?user=me&password=x&sslpassword=y&sslmode=require",
            "postgresql://host/db?user=me&password=***&sslpassword=***&sslmode=require",
        ),
        ("/srv/a:b@c?password=d", "/srv/a:b@c?password=d"),
    ],
)
def test_passwords_of_a_database(url: str, shown: str) -> None:
    """A password is not shown, whatever is in it; the path of a file is."""
    assert without_password(url) == shown
