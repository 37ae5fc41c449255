"""Checks prompts and params against a model, and turns params into what is sent.

The documented requests send `select` values as JSON strings even for numbers and booleans, and `number` values as JSON numbers.
Params that are not given are not sent, so that a default that the vendor changes stays the vendor's; the exception is a required
param that has a default, which the server wants to be told (ElevenLabs' `voice`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from batchgen.catalogue.model import Model, Param, ParamType
from batchgen.catalogue.words import did_you_mean, shown
from batchgen.catalogue.written import RawValue, Written, meaning, number

PRICELESS = frozenset({"seed", "seeds"})
"""Numbers that cannot change a price; with them in its key, no two tasks would ever share one."""

EXACT = 10**15
"""Numbers beyond it are not checked against a step: Decimal's remainder has 28 digits."""

_WORDS_OF_TRUTH = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
"""YAML 1.2's other spellings of the two booleans; options are spelt in lower case."""


@dataclass(frozen=True, slots=True)
class ParamProblem:
    """What is wrong with one param, and what would be right."""

    key: str
    wrong: str
    right: str = ""


def prompt_units(prompt: str) -> int:
    """Return the length of `prompt` in UTF-16 code units: the stricter of the two readings of an undocumented limit."""
    return len(prompt) if prompt.isascii() else len(prompt.encode("utf-16-le", "surrogatepass")) // 2


def check_prompt(model: Model, prompt: str) -> str:
    """Return what is wrong with `prompt`, or an empty string."""
    if not prompt.strip():
        return "the prompt is empty" if model.prompt_required else ""
    if "\x00" in prompt or (not prompt.isascii() and any("\ud800" <= c <= "\udfff" for c in prompt)):
        return "the prompt has a character that is not text (NUL, or half of a surrogate pair)"
    limit = model.max_prompt_length
    units = prompt_units(prompt) if limit is not None else 0
    if limit is None or units <= limit:
        return ""
    return f"the prompt is {units} characters long (UTF-16 units), {units - limit} over the {limit} that {model.id} takes"


def check_params(model: Model, raw: Mapping[str, RawValue]) -> tuple[dict[str, object], list[ParamProblem]]:
    """Return the params as they will be sent, and what is wrong with them.

    Args:
        model: what they are checked against.
        raw: the values as they were written.
    """
    sent: dict[str, object] = {}
    problems: list[ParamProblem] = []
    for key, value in raw.items():
        try:
            sent[key] = _sent(model, key, value)
        except _Wrong as wrong:
            problems.append(ParamProblem(key, str(wrong), wrong.right))
    for param in model.params.values():
        if not param.required or param.key in raw:
            continue
        if param.default is None:
            problems.append(ParamProblem(param.key, f"{model.id} needs the param {param.key}", "add it to params"))
        else:
            sent[param.key] = param.default
    return sent, problems


def price_params(model: Model, params: Mapping[str, object]) -> dict[str, object]:
    """Return the params that may influence the price, with defaults where none are given, so that equal prices have equal keys.

    Args:
        model: whose params they are.
        params: as sent.
    """
    priced = {
        key: params.get(key, param.default)
        for key, param in model.params.items()
        if param.type in {ParamType.SELECT, ParamType.NUMBER} and key not in PRICELESS
    }
    unknown = {k: v for k, v in params.items() if k not in PRICELESS and not _known(model, k) and isinstance(v, str | int | float)}
    return {key: value for key, value in {**priced, **unknown}.items() if value is not None}


def _known(model: Model, key: str) -> bool:
    return key in model.params and model.params[key].type is not ParamType.UNKNOWN


class _Wrong(Exception):
    """Carries a value's problem out of its check; never leaves this module."""

    def __init__(self, wrong: str, right: str = "") -> None:
        super().__init__(wrong)
        self.right = right


def _sent(model: Model, key: str, value: RawValue) -> object:
    param = model.params.get(key)
    if isinstance(value, Written) and value.plain and not value.text:
        raise _Wrong(f"the param {key} has no value", "give one, or leave the key out")
    if param is None and model.params_complete:
        raise _Wrong(f"{model.id} has no param {shown(key)}", did_you_mean(key, model.params) or f"{model.id} takes no params")
    kind = param.type if param else ParamType.UNKNOWN
    if param is None or kind is ParamType.UNKNOWN:
        return _unchecked(key, value)
    if kind is ParamType.ARRAY:
        return _array(key, value)
    if not isinstance(value, Written):
        raise _Wrong(f"the param {key} must be one value, not a list or a mapping")
    if kind is ParamType.SELECT:
        return _option(param, value)
    if kind is ParamType.NUMBER:
        return _number(param, value.text)
    return _plain_text(key, value.text)


def _option(param: Param, value: Written) -> str:
    text = value.text
    if text in param.options:
        return text
    spelt = _WORDS_OF_TRUTH.get(text, "") if value.plain else ""
    if spelt in param.options:
        return spelt
    raise _Wrong(f"{shown(text)} is no option of the param {param.key}", did_you_mean(text, param.options))


def _number(param: Param, text: str) -> int | float:
    value = number(text)
    if value is None or not math.isfinite(value):
        raise _Wrong(f"the param {param.key} must be a number, not {shown(text)}", _span(param))
    low, high = param.minimum, param.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise _Wrong(f"{shown(text)} is outside the range of the param {param.key}", _span(param))
    if param.step and abs(value) < EXACT and (_exact(value) - _exact(low or 0)) % _exact(param.step):
        raise _Wrong(f"{shown(text)} is no step of the param {param.key}", _span(param))
    return int(value) if value == int(value) else value


def _exact(value: float) -> Decimal:
    return Decimal(str(value))


def _span(param: Param) -> str:
    parts = (("from", param.minimum), ("to", param.maximum), ("in steps of", param.step))
    said = " ".join(f"{word} {_digits(value)}" for word, value in parts if value is not None)
    return f"a number {said}" if said else "write digits"


def _digits(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _plain_text(key: str, text: str) -> str:
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise _Wrong(f"the param {key} has a character that is not text (NUL, or half of a surrogate pair)")
    return text


def _array(key: str, value: RawValue) -> object:
    if not isinstance(value, list) or not value:
        raise _Wrong(f"the param {key} must be a list with at least one entry", "for example [{voice: Adam, text: Hello}]")
    if not all(isinstance(item, dict) for item in value):
        raise _Wrong(f"every entry of the param {key} must be a mapping", "for example {voice: Adam, text: Hello}")
    return _texts_in(key, value)


def _texts_in(key: str, value: RawValue) -> object:
    """Pass a list on with its scalars as the text that was written: the documented entries hold only strings."""
    if isinstance(value, list):
        return [_texts_in(key, item) for item in value]
    if isinstance(value, dict):
        return {name: _texts_in(key, item) for name, item in value.items()}
    return _plain_text(key, value.text)


def _unchecked(key: str, value: RawValue) -> object:
    if isinstance(value, list):
        return [_unchecked(key, item) for item in value]
    if isinstance(value, dict):
        return {name: _unchecked(key, item) for name, item in value.items()}
    meant = meaning(value)
    if isinstance(meant, float) and not math.isfinite(meant):
        raise _Wrong(f"the param {key} must be a finite number, not {shown(value.text)}")
    return _plain_text(key, meant) if isinstance(meant, str) else meant
