"""The key and the server's address."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from batchgen.core.address import check_base_url
from batchgen.errors import KeyRefused, UsageError
from batchgen.settings import ApiKey
from batchgen.settings.secret import read_key

SECRET = "rvya_sk_verysecret"


def test_never_shown() -> None:
    """No text of a key shows it."""
    key = ApiKey(SECRET)
    assert SECRET not in f"{key} {key!r} {[key]}"
    assert key.reveal() == SECRET
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_missing() -> None:
    """A missing key is an error only when it is needed, and says what to set."""
    key = read_key({})
    assert not key.usable
    with pytest.raises(KeyRefused, match="RIVYA_API_KEY"):
        key.reveal()


@pytest.mark.parametrize("value", [SECRET + "\n", "rvya sk", "a\r\nX-Evil: 1", "schl\u00fcssel", "\0"])
def test_malformed(value: str) -> None:
    """A key with a line break or anything else that a header cannot carry is refused without being shown."""
    with pytest.raises(KeyRefused) as caught:
        ApiKey(value).reveal()
    assert value.strip() not in str(caught.value)


def test_file(tmp_path: Path) -> None:
    """The key may lie in a file, whose last line break does not belong to it; the variable wins over the file."""
    file = tmp_path / "key"
    file.write_text(SECRET + "\n", encoding="utf-8")
    assert read_key({"RIVYA_API_KEY_FILE": str(file)}).reveal() == SECRET
    assert read_key({"RIVYA_API_KEY_FILE": str(file), "RIVYA_API_KEY": "other"}).reveal() == "other"


def test_bad_file(tmp_path: Path) -> None:
    """A key file that is missing, empty or no text says so, when the key is needed."""
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    for name in ("missing", "empty", "binary"):
        with pytest.raises(KeyRefused, match=name):
            read_key({"RIVYA_API_KEY_FILE": str(tmp_path / name)}).reveal()


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://rivya.ai", "https://rivya.ai"),
        ("https://rivya.ai/api/v1/", "https://rivya.ai"),
        ("https://EXAMPLE.com:8443/base/", "https://example.com:8443/base"),
        ("http://localhost:1234", "http://localhost:1234"),
        ("http://[::1]:1234", "http://[::1]:1234"),
    ],
)
def test_address(given: str, taken: str) -> None:
    """An address is kept in one spelling, so that the ledger knows it again."""
    assert check_base_url(given) == taken


@pytest.mark.parametrize(
    "given",
    [
        "rivya.ai",
        "ftp://rivya.ai",
        "http://rivya.ai",
        "http://127.0.0.1.evil.example",
        "https://user:hunter2@rivya.ai",
        "https://rivya.ai?key=hunter2",
        "https://rivya.ai#x",
        "https://rivya.ai:99999",
        "https://riv ya.ai",
        "https://rivya.ai\n",
        "https://",
        "https://[::1",
    ],
)
def test_bad_address(given: str) -> None:
    """An address that would send the key elsewhere or unencrypted, or that holds a secret, is refused without showing it."""
    with pytest.raises(UsageError) as caught:
        check_base_url(given)
    assert "hunter2" not in str(caught.value)
