"""Reads one model from JSON: from `models.json`, and from GET /models, whose params and reference rules have an undocumented shape.

Everything is optional and anything may have an unexpected type: what is understood replaces what was known before, what is not
leaves it alone. A model must never become unusable because the API added a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from batchgen.catalogue.model import DEFAULT_KIND_RULES, MB, Billing, KindRules, Model, Param, ParamType, ReferenceRules
from batchgen.core.model import MediaKind

Entry = Mapping[str, object]


def read_model(entry: object, known: Mapping[str, Model]) -> Model | None:
    """Return the model that `entry` describes, over what is `known` of it; None if the entry names no model."""
    if not isinstance(entry, Mapping) or not _text(entry.get("id")):
        return None
    name = _text(entry["id"])
    old = known.get(name) or _unseen(name, entry)
    return replace(
        old,
        display_name=_text(entry.get("display_name")) or old.display_name,
        category=_text(entry.get("category")) or old.category,
        base_credits=_whole(entry.get("base_credits"), old.base_credits),
        billing=_billing(entry.get("billing_type"), old.billing),
        max_prompt_length=_whole(entry.get("max_prompt_length"), old.max_prompt_length),
        prompt_required=_flag(entry.get("prompt_required"), otherwise=old.prompt_required),
        params={**old.params, **_params(entry.get("params"))},
        params_complete=_flag(entry.get("params_complete"), otherwise=old.params_complete),
        references=_references(entry, old.references),
        api_status=_text(entry.get("api_status")) or old.api_status,
        notices=_texts(entry.get("notices")) or old.notices,
    )


def _unseen(name: str, entry: Entry) -> Model:
    """Make a model that nothing is known of: any param passes; references pass unless the entry lists its inputs without files."""
    inputs = _texts(entry.get("supported_api_inputs"))
    return Model(id=name, display_name=name, references=None if inputs and "file" not in inputs else ReferenceRules())


def _params(raw: object) -> dict[str, Param]:
    params = [_param(p) for p in raw] if isinstance(raw, list) else []
    return {p.key: p for p in params if p is not None}


def _param(raw: object) -> Param | None:
    if not isinstance(raw, Mapping) or not _text(raw.get("key")):
        return None
    options = _options(raw.get("options"))
    kind = _text(raw.get("type")).lower()
    known = kind in {t.value for t in ParamType} and not (kind == ParamType.SELECT and not options)
    limits = raw.get("range")
    span = limits if isinstance(limits, Mapping) else {}
    return Param(
        key=_text(raw["key"]),
        type=ParamType(kind) if known else ParamType.UNKNOWN,
        required=raw.get("required") is True,
        default=raw.get("default"),
        minimum=_real(span.get("min")),
        maximum=_real(span.get("max")),
        step=_real(span.get("step")),
        options=options,
    )


def _options(raw: object) -> tuple[str, ...]:
    """Options as they are sent. They may come bare or as objects with a `value`."""
    bare = [o.get("value") if isinstance(o, Mapping) else o for o in raw] if isinstance(raw, list) else []
    spelt = [str(o).lower() if isinstance(o, bool) else str(o) for o in bare if isinstance(o, str | int | float)]
    return tuple(spelt) if len(spelt) == len(bare) else ()


def _references(entry: Entry, old: ReferenceRules | None) -> ReferenceRules | None:
    raw = entry.get("reference_media")
    inputs = _texts(entry.get("supported_api_inputs"))
    if not isinstance(raw, Mapping):
        return old if old is not None or "file" not in inputs else ReferenceRules()
    base = old or ReferenceRules()
    return ReferenceRules(
        kinds=_kinds(raw) or base.kinds,
        max_files=_whole(raw.get("max_files"), base.max_files),
        rule=_text(raw.get("rule")) or base.rule,
    )


def _kinds(raw: Entry) -> dict[MediaKind, KindRules]:
    names = [MediaKind(k) for k in _texts(raw.get("file_kinds")) if k in {m.value for m in MediaKind}]
    kinds = {kind: DEFAULT_KIND_RULES[kind] for kind in names}
    limits = raw.get("limits")
    for limit in limits if isinstance(limits, list) else []:
        if not isinstance(limit, Mapping) or limit.get("kind") not in kinds:
            continue
        kind = MediaKind(_text(limit["kind"]))
        size = _real(limit.get("max_size_mb"))
        kinds[kind] = KindRules(
            max_bytes=int(size * MB) if size else kinds[kind].max_bytes,
            mime_types=_texts(limit.get("mime_types")) or kinds[kind].mime_types,
        )
    return kinds


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(v for v in value if isinstance(v, str) and v)


def _whole(value: object, otherwise: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise


def _real(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(value: object, *, otherwise: bool) -> bool:
    return value if isinstance(value, bool) else otherwise


def _billing(value: object, otherwise: Billing) -> Billing:
    if not isinstance(value, str) or not value:
        return otherwise
    return Billing(value) if value in {b.value for b in Billing} else Billing.UNKNOWN
