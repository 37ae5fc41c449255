"""The models on offer: the catalogue that ships with the package, read the way this server uses it.

The checks of this server are its own and not the client's, so that a mistake in one shows against the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from batchgen.core.model import Credits

MEGABYTE = 1024 * 1024

DEFAULT_LIMITS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "image": (10 * MEGABYTE, ("image/jpeg", "image/png", "image/webp")),
    "video": (50 * MEGABYTE, ("video/mp4", "video/quicktime", "video/webm")),
    "audio": (10 * MEGABYTE, ("audio/mpeg", "audio/mp4", "audio/wav", "audio/x-wav", "audio/aac", "audio/ogg")),
}
"""Of an upload without `model`: bytes and MIME types by kind, as documented."""

_ANY_MODEL_FILES = 10
"""References that a model takes whose rule is not documented; the most that a documented image model commonly takes."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a model. `low` and `high` are None without a limit; `options` are empty but for a select."""

    key: str
    type: str
    required: bool
    default: object
    low: float | None
    high: float | None
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """One model. `prompt_limit` counts UTF-16 units, None without one; `limits` are bytes and MIME types by kind of reference."""

    id: str
    category: str
    base_credits: Credits
    metered: bool
    prompt_limit: int | None
    prompt_required: bool
    params: tuple[Param, ...]
    params_complete: bool
    max_files: int
    limits: Mapping[str, tuple[int, tuple[str, ...]]]

    def default(self, key: str) -> object:
        """Say a parameter's default; None if there is none."""
        return next((param.default for param in self.params if param.key == key), None)


@cache
def entries() -> Sequence[Mapping[str, object]]:
    """Read the catalogue's entries, in the shape of `GET /api/v1/models`."""
    text = resources.files("batchgen.catalogue").joinpath("models.json").read_text(encoding="utf-8")
    loaded = json.loads(text)
    return loaded if isinstance(loaded, list) else loaded["data"]


@cache
def offers() -> Mapping[str, Offer]:
    """Every model by its id."""
    return {str(entry["id"]): _offer(entry) for entry in entries()}


_OURS = frozenset({"params_complete", "prompt_required"})
"""What the catalogue says beyond the API's own words."""


def public_entries() -> list[dict[str, object]]:
    """The entries as the API shows them."""
    return [{key: value for key, value in entry.items() if key not in _OURS} for entry in entries()]


def _offer(entry: Mapping[str, object]) -> Offer:
    """Read one entry."""
    limit = entry["max_prompt_length"]
    return Offer(
        id=str(entry["id"]),
        category=str(entry["category"]),
        base_credits=_whole(entry["base_credits"]),
        metered=entry["billing_type"] == "METERED",
        prompt_limit=None if limit is None else _whole(limit),
        prompt_required=entry.get("prompt_required") is not False,
        params=tuple(_param(param) for param in _tables(entry["params"])),
        params_complete=entry.get("params_complete") is not False,
        max_files=_max_files(entry),
        limits=_limits(entry),
    )


def _param(entry: Mapping[str, object]) -> Param:
    """Read one parameter."""
    span = _table(entry.get("range"))
    return Param(
        key=str(entry["key"]),
        type=str(entry["type"]),
        required=entry.get("required") is True,
        default=entry.get("default"),
        low=_number(span.get("min")),
        high=_number(span.get("max")),
        options=tuple(_words(entry.get("options"))),
    )


def _max_files(entry: Mapping[str, object]) -> int:
    """Say how many references a model takes: none if it only reads text."""
    if "file" not in _words(entry.get("supported_api_inputs")):
        return 0
    rule = _table(entry.get("reference_media")).get("max_files")
    return _whole(rule) if rule is not None else _ANY_MODEL_FILES


def _limits(entry: Mapping[str, object]) -> Mapping[str, tuple[int, tuple[str, ...]]]:
    """Read the model's own limits; where it has kinds but no limits, the general ones; images where nothing is documented."""
    media = _table(entry.get("reference_media"))
    kinds = _words(media.get("file_kinds") or entry.get("file_kinds")) or ["image"]
    limits = {kind: DEFAULT_LIMITS[kind] for kind in kinds}
    for limit in _tables(media.get("limits")):
        size = _number(limit.get("max_size_mb"))
        kind = str(limit["kind"])
        size_of_kind = limits[kind][0] if size is None else int(size * MEGABYTE)
        limits[kind] = (size_of_kind, tuple(_words(limit.get("mime_types"))) or limits[kind][1])
    return limits


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _words(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: object) -> int:
    assert isinstance(value, int), value
    return value
