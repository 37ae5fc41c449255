"""What is known about a model. None always means "not known", never "none allowed"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from batchgen.core.model import Credits, MediaKind

MB = 1024 * 1024
"""The documentation writes "10 MB" and does not say which. We take the larger: the server refuses a file before any charge, while a
file refused here could never be used at all."""


class Billing(StrEnum):
    """How a model is charged; the API's own words. UNKNOWN stands for a word that the documentation lacks."""

    FIXED = "FIXED"
    METERED = "METERED"
    UNKNOWN = "UNKNOWN"


class ParamType(StrEnum):
    """What a param takes; the documentation's own words. UNKNOWN is passed on unchecked."""

    SELECT = "select"  # a JSON string, spelt like one of the options
    NUMBER = "number"  # a JSON number in a range
    TEXT = "text"  # a JSON string
    ARRAY = "array"  # a JSON array
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Param:
    """One row of a model's params table."""

    key: str
    type: ParamType
    required: bool = False
    default: object = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KindRules:
    """What a reference of one kind may be: its size in bytes, its MIME types."""

    max_bytes: int
    mime_types: tuple[str, ...]


DEFAULT_KIND_RULES: Mapping[MediaKind, KindRules] = MappingProxyType(
    {
        MediaKind.IMAGE: KindRules(10 * MB, ("image/jpeg", "image/png", "image/webp")),
        MediaKind.VIDEO: KindRules(50 * MB, ("video/mp4", "video/quicktime", "video/webm")),
        MediaKind.AUDIO: KindRules(10 * MB, ("audio/mpeg", "audio/mp4", "audio/wav", "audio/x-wav", "audio/aac", "audio/ogg")),
    }
)
"""The files endpoint's documented limits, for models whose own are not known."""


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    """Which references a model takes. `rule` is the documentation's sentence about combinations, for people."""

    kinds: Mapping[MediaKind, KindRules] = field(default_factory=lambda: DEFAULT_KIND_RULES)
    max_files: int | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A model. `references` is None where it takes none; `max_prompt_length` is in UTF-16 code units, None where there is no limit.

    `params_complete` is False where the params table was not seen whole, so that an unknown param may be right.
    """

    id: str
    display_name: str
    category: str = ""
    base_credits: Credits | None = None
    billing: Billing = Billing.UNKNOWN
    max_prompt_length: int | None = None
    prompt_required: bool = True
    params: Mapping[str, Param] = field(default_factory=dict)
    params_complete: bool = False
    references: ReferenceRules | None = None
    api_status: str = ""
    notices: tuple[str, ...] = ()

    @property
    def callable(self) -> bool:
        """Whether the Public API renders with it; an unknown status counts as yes, the server will say."""
        return self.api_status not in {"coming_soon", "studio_only"}
