"""The models that ship, and what GET /models adds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.catalogue import (
    DEFAULT_KIND_RULES,
    Billing,
    Catalogue,
    ParamType,
    RawValue,
    Written,
    check_params,
    check_prompt,
    meaning,
    price_params,
    prompt_units,
    shown,
)
from batchgen.core.model import MediaKind, canonical_json
from batchgen.errors import UsageError

SHIPPED = Catalogue.shipped()


def sent(model: str, /, **params: str) -> object:
    """Check unquoted params and return what is sent, or what is wrong."""
    made, problems = check_params(SHIPPED.get(model), {k: Written(v) for k, v in params.items()})
    return [f"{p.wrong}; {p.right}" for p in problems] or made


def test_all_models_ship() -> None:
    """Not only the first."""
    assert len(SHIPPED) == 48
    assert all(m.base_credits and m.category and m.billing is not Billing.UNKNOWN for m in SHIPPED)


def test_every_shipped_default_is_valid() -> None:
    """The catalogue agrees with itself: each default passes its own check."""
    for model in SHIPPED:
        given = {p.key: Written(str(p.default)) for p in model.params.values() if p.default is not None}
        made, problems = check_params(model, given)
        assert [p for p in problems if p.key != "dialogue"] == []
        assert {k: str(v) for k, v in made.items()} == {k: v.text for k, v in given.items()}


def test_the_catalogue_is_read_once() -> None:
    """Models are shared, not read again."""
    assert Catalogue.shipped().get("kling-2-6") is SHIPPED.get("kling-2-6")


def test_an_unknown_model_names_the_nearest() -> None:
    """A typing error is explained."""
    with pytest.raises(UsageError, match=r'there is no model "kling-26"; did you mean kling-2-6\?'):
        SHIPPED.get("kling-26")
    assert SHIPPED.find("kling-26") is None
    assert "kling-2-6" in SHIPPED


@pytest.mark.parametrize(
    ("model", "params", "result"),
    [
        ("kling-2-6", {"duration": "5", "sound": "false"}, {"duration": "5", "sound": "false"}),
        ("kling-2-6", {"sound": "True"}, {"sound": "true"}),
        ("kling-2-6", {}, {}),
        ("seedream-3-0", {"guidance_scale": "2.5", "seed": "7"}, {"guidance_scale": 2.5, "seed": 7}),
        ("seedream-3-0", {"guidance_scale": "3.0"}, {"guidance_scale": 3}),
        ("seedream-3-0", {"seed": "0x10"}, {"seed": 16}),
        ("ideogram-v3", {"seed": "99999999999999999999", "negative_prompt": "no"}, {"seed": 99999999999999999999, "negative_prompt": "no"}),
        ("runway", {"waterMark": "~"}, {"waterMark": "~"}),
        ("elevenlabs-turbo-2-5", {}, {"voice": "TX3LPaxmHKxFdv7VOQHJ"}),
        ("elevenlabs-turbo-2-5", {"voice": "pNInz6obpgDQGcFmaJgB", "speed": "0.95"}, {"voice": "pNInz6obpgDQGcFmaJgB", "speed": 0.95}),
        ("wan-2-7-video", {"brand_new": "5", "other": "true"}, {"brand_new": 5, "other": True}),
        ("suno-music", {"model": "V5"}, {"model": "V5"}),
    ],
)
def test_params_are_turned_into_what_is_sent(model: str, params: dict[str, str], result: dict[str, object]) -> None:
    """By the type in the catalogue, never by the model's name."""
    assert sent(model, **params) == result


@pytest.mark.parametrize(
    ("model", "params", "said"),
    [
        ("kling-2-6", {"duration": "7"}, '"7" is no option of the param duration; known: 5, 10'),
        ("kling-2-6", {"sound": "no"}, '"no" is no option of the param sound; known: false, true'),
        ("kling-2-6", {"aspect_ratio": "9:61"}, "did you mean 9:16?"),
        ("kling-2-6", {"durration": "5"}, 'kling-2-6 has no param "durration"; did you mean duration?'),
        ("seedream-3-0", {"guidance_scale": "11"}, "outside the range of the param guidance_scale; a number from 1 to 10 in steps of 0.1"),
        ("seedream-3-0", {"guidance_scale": "2.55"}, '"2.55" is no step of the param guidance_scale'),
        ("seedream-3-0", {"seed": "many"}, 'the param seed must be a number, not "many"; a number from 0 to 2147483647'),
        ("seedream-3-0", {"seed": ".nan"}, "must be a number"),
        ("seedream-3-0", {"seed": "9" * 5000}, "must be a number"),
        ("ideogram-v3", {"seed": "1e999"}, "must be a number"),
        ("runway", {"waterMark": ""}, "the param waterMark has no value; give one, or leave the key out"),
        ("runway", {"waterMark": "a\x00"}, "not text"),
        ("elevenlabs-dialogue-v3", {}, "elevenlabs-dialogue-v3 needs the param dialogue"),
        ("elevenlabs-dialogue-v3", {"dialogue": "hello"}, "must be a list with at least one entry"),
        ("wan-2-7-video", {"brand_new": ".inf"}, "must be a finite number"),
    ],
)
def test_wrong_params_are_explained(model: str, params: dict[str, str], said: str) -> None:
    """What is wrong, and what would be right."""
    assert said in str(sent(model, **params))


def test_quoted_values_stay_text_where_nothing_is_known() -> None:
    """Quotes say text; lists and mappings are passed on."""
    raw: Mapping[str, RawValue] = {"a": Written("5", plain=False), "b": [Written("5"), {"c": Written("~")}]}
    assert check_params(SHIPPED.get("wan-2-7-video"), raw) == ({"a": "5", "b": [5, {"c": None}]}, [])


def test_dialogue_is_passed_on_as_text() -> None:
    """Its entries are mappings of text."""
    model = SHIPPED.get("elevenlabs-dialogue-v3")
    made, problems = check_params(model, {"dialogue": [{"voice": Written("Adam"), "text": Written("5")}]})
    assert (made, problems) == ({"dialogue": [{"voice": "Adam", "text": "5"}]}, [])
    assert not model.prompt_required
    assert "must be a mapping" in check_params(model, {"dialogue": [Written("x")]})[1][0].wrong


def test_prompts_are_measured_in_utf_16_units() -> None:
    """An emoji outside the first plane counts two."""
    assert [prompt_units(p) for p in ("abc", "é", "🎬", "👩‍👩‍👧")] == [3, 1, 2, 8]
    model = SHIPPED.get("kling-2-6")
    assert check_prompt(model, "x" * 1000) == ""
    assert "1 over the 1000 that kling-2-6 takes" in check_prompt(model, "🎬" * 500 + "x")
    assert check_prompt(SHIPPED.get("4o-image"), "x" * 1_000_000) == ""
    assert check_prompt(model, "\n ") == "the prompt is empty"
    assert "not text" in check_prompt(model, "a\udc00")


def test_reference_rules_come_from_the_data() -> None:
    """A model's own limits, the documented defaults where its own were not seen, none for text-only models."""
    kling, banana, kontext = (SHIPPED.get(name).references for name in ("kling-2-6", "nano-banana-2", "flux-kontext-pro"))
    assert kling is not None
    assert (kling.max_files, list(kling.kinds)) == (1, [MediaKind.IMAGE])
    assert banana is not None
    assert banana.kinds[MediaKind.IMAGE].max_bytes == 30 * 1024 * 1024
    assert kontext is not None
    assert dict(kontext.kinds) == {MediaKind.IMAGE: DEFAULT_KIND_RULES[MediaKind.IMAGE]}
    assert SHIPPED.get("z-image").references is None
    unseen = SHIPPED.get("qwen-image").references
    assert unseen is not None
    assert (unseen.max_files, dict(unseen.kinds)) == (None, dict(DEFAULT_KIND_RULES))


def test_price_params_leave_seeds_out_and_defaults_in() -> None:
    """Tasks of one price have one key."""
    model = SHIPPED.get("seedance-1-0-pro")
    assert price_params(model, {"seed": 7, "duration": "10"}) == {
        "resolution": "720p",
        "duration": "10",
        "aspect_ratio": "16:9",
        "camera_fixed": "false",
        "enable_safety_checker": "true",
    }
    assert price_params(SHIPPED.get("wan-2-7-video"), {"new": 5, "seed": 1, "negative_prompt": "x"})["new"] == 5
    assert "negative_prompt" not in price_params(SHIPPED.get("wan-2-7-video"), {"negative_prompt": "x"})


def test_merging_the_printed_example_keeps_the_params() -> None:
    """The documentation's own z-image entry says `params: []` although the model has one."""
    entry = {"id": "z-image", "display_name": "Z-Image 2", "base_credits": 2, "billing_type": "METERED", "max_prompt_length": 900,
             "reference_media": None, "params": [], "api_status": "available", "supported_api_inputs": ["text"], "notices": []}  # fmt: skip
    model = SHIPPED.merge([entry]).get("z-image")
    assert (model.display_name, model.base_credits, model.billing, model.max_prompt_length) == ("Z-Image 2", 2, Billing.METERED, 900)
    assert list(model.params) == ["aspect_ratio"]
    assert model.references is None
    assert SHIPPED.get("z-image").base_credits == 1


def test_a_new_model_is_usable_with_unknown_params() -> None:
    """The vendor adds models; a list of ours must not stop them."""
    catalogue = SHIPPED.merge([{"id": "kling-9", "base_credits": 99, "supported_api_inputs": ["text", "file"]}])
    model = catalogue.get("kling-9")
    assert check_params(model, {"x": Written("5"), "y": Written("5", plain=False)}) == ({"x": 5, "y": "5"}, [])
    assert check_prompt(model, "x" * 100_000) == ""
    assert model.references is not None
    text_only = SHIPPED.merge([{"id": "t", "supported_api_inputs": ["text"]}]).get("t")
    assert text_only.references is None


def test_params_in_a_readable_shape_are_taken_over() -> None:
    """Should the API print params as its pages do, they count; options may be objects."""
    params = [
        {"key": "duration", "type": "select", "options": [5, 10, 15], "default": "5"},
        {"key": "loop", "type": "select", "options": [{"value": True, "label": "Yes"}, {"value": False}]},
        {"key": "odd", "type": "colour-wheel"},
        {"key": "empty", "type": "select", "options": []},
        {"name": "without a key"},
        "nonsense",
    ]
    model = SHIPPED.merge([{"id": "kling-2-6", "params": params}]).get("kling-2-6")
    assert model.params["duration"].options == ("5", "10", "15")
    assert model.params["loop"].options == ("true", "false")
    assert model.params["odd"].type is model.params["empty"].type is ParamType.UNKNOWN
    assert model.params["sound"].options == ("false", "true")
    assert check_params(model, {"odd": Written("5")}) == ({"odd": 5}, [])


def test_reference_rules_in_a_readable_shape_are_taken_over() -> None:
    """Limits and kinds of the API win over ours."""
    media = {"max_files": 3, "file_kinds": ["image", "video", "smell"], "limits": [{"kind": "video", "max_size_mb": 95}, {}, 5]}
    rules = SHIPPED.merge([{"id": "kling-2-6", "reference_media": media}]).get("kling-2-6").references
    assert rules is not None
    assert (rules.max_files, list(rules.kinds)) == (3, [MediaKind.IMAGE, MediaKind.VIDEO])
    assert rules.kinds[MediaKind.VIDEO].max_bytes == 95 * 1024 * 1024


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "type", "options", "kind", "x"]), inner),
    max_leaves=8,
)
FIELDS = ["display_name", "base_credits", "billing_type", "max_prompt_length", "params", "reference_media", "supported_api_inputs"]


@given(entry=st.dictionaries(st.sampled_from(FIELDS), JSON), others=st.lists(JSON, max_size=2))
def test_no_answer_breaks_the_catalogue(entry: dict[str, object], others: list[object]) -> None:
    """Whatever GET /models says, the models that we know stay usable."""
    merged = SHIPPED.merge([{**entry, "id": "kling-2-6"}, *others])
    model = merged.get("kling-2-6")
    assert check_params(model, {"sound": Written("false")})[1] == [] or "sound" in str(entry)
    assert model.base_credits is not None
    assert model.references is not None


@given(text=st.text(max_size=30), plain=st.booleans())
def test_the_meaning_of_any_text_is_json(text: str, plain: bool) -> None:
    """Or a number that JSON lacks, which params refuse."""
    value = meaning(Written(text, plain))
    assert plain or value == text
    if not isinstance(value, float):
        canonical_json(value)


def test_values_in_messages_are_harmless() -> None:
    """No control character, no screenful."""
    assert shown("a\x1b[0m\u202eb") == '"a\\x1b[0m\\u202eb"'
    assert shown("x" * 1_000) == f'"{"x" * 60}..." (1000 characters)'
