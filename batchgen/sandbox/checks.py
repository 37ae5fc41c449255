"""Is a request right in itself? What the API documents, and no less strict where it says only "invalid".

Decided here, because the documentation does not say: a `select` takes exactly the strings of its options, a `number`
takes a JSON number within its range; an unknown parameter is refused where the model's list is known whole
(`Faults.lenient` ignores it instead); a prompt is counted in UTF-16 units, as JavaScript would; a video or audio file
that was uploaded here must come with its `durationToken`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from batchgen.catalogue import Model, Param, ParamType
from batchgen.sandbox.account import Uploaded
from batchgen.sandbox.offer import find, limits, max_files
from batchgen.sandbox.refusal import invalid

CLIENT_ID_LIMIT = 128
"""Characters of a client_request_id; documented for files, and taken for generations as well."""

_ITEM_KEYS = frozenset({"url", "kind", "name", "mimeType", "durationSeconds", "durationToken"})
_BODY_KEYS = frozenset({"model", "prompt", "params", "client_request_id"})

FindFile = Callable[[str], Uploaded | None]
"""Find one of our uploads by the URL that we gave for it; None if it is not ours or forgotten."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A generation that was asked for, checked."""

    model: Model
    prompt: str
    params: Mapping[str, object]
    client_request_id: str | None


def check_generation(body: object, find_file: FindFile, *, lenient: bool = False) -> Wanted:
    """Check the body of POST /generations. Raises Refusal."""
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    if "files" in body:
        raise invalid("A top-level 'files' field is not accepted; use params.referenceMediaItems.")
    unknown = sorted(set(body) - _BODY_KEYS)
    if unknown and not lenient:
        raise invalid(f"Unknown field '{unknown[0]}'.")
    model = find_model(body.get("model"))
    prompt = _prompt(body.get("prompt"), model)
    params = body.get("params", {})
    if not isinstance(params, dict):
        raise invalid("'params' must be an object.")
    _check_params(params, model, lenient=lenient)
    _check_references(params.get("referenceMediaItems"), model, find_file)
    return Wanted(model, prompt, params, client_id(body.get("client_request_id")))


def find_model(name: object) -> Model:
    """Find the model. Raises Refusal."""
    if not isinstance(name, str) or not name:
        raise invalid("'model' is required.")
    model = find(name)
    if model is None:
        raise invalid(f"Model '{name}' does not exist.")
    return model


def client_id(value: object) -> str | None:
    """Check a client_request_id. Raises Refusal."""
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= CLIENT_ID_LIMIT:
        raise invalid(f"'client_request_id' must be a string of 1 to {CLIENT_ID_LIMIT} characters.")
    return value


def _prompt(prompt: object, model: Model) -> str:
    """Check the prompt against the model."""
    if prompt is None and not model.prompt_required:
        return ""
    if not isinstance(prompt, str) or (model.prompt_required and not prompt.strip()):
        raise invalid("'prompt' is required and must be a text.")
    length = len(prompt.encode("utf-16-le", "surrogatepass")) // 2
    if model.max_prompt_length is not None and length > model.max_prompt_length:
        raise invalid(f"'prompt' has {length} characters; '{model.id}' takes at most {model.max_prompt_length}.")
    return prompt


def _check_params(params: Mapping[str, object], model: Model, *, lenient: bool) -> None:
    """Check every parameter, and that none is missing."""
    for key, value in params.items():
        if key in model.params:
            _check_param(value, model.params[key])
        elif key != "referenceMediaItems" and model.params_complete and not lenient:
            raise invalid(f"'params.{key}' is not a parameter of '{model.id}'.")
    missing = sorted(key for key, param in model.params.items() if param.required and key not in params)
    if missing:
        raise invalid(f"'params.{missing[0]}' is required.")


def _check_param(value: object, param: Param) -> None:
    """Check one value against its parameter."""
    if param.type is ParamType.SELECT and (not isinstance(value, str) or value not in param.options):
        raise invalid(f"'params.{param.key}' must be one of the strings {', '.join(param.options)}.")
    if param.type is ParamType.NUMBER:
        _check_number(value, param)
    if param.type is ParamType.TEXT and not isinstance(value, str):
        raise invalid(f"'params.{param.key}' must be a text.")
    if param.type is ParamType.ARRAY:
        _check_dialogue(value, param.key)


def _check_number(value: object, param: Param) -> None:
    """Check a number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(f"'params.{param.key}' must be a number.")
    if (param.minimum is not None and value < param.minimum) or (param.maximum is not None and value > param.maximum):
        raise invalid(f"'params.{param.key}' is out of range.")


def _check_dialogue(value: object, key: str) -> None:
    """Check an array parameter: the only one is a list of what voices say."""
    lines = value if isinstance(value, list) else []
    if not lines or not all(isinstance(line, dict) and isinstance(line.get("text"), str) and line["text"] for line in lines):
        raise invalid(f"'params.{key}' must be a list of objects with a 'text'.")


def _check_references(items: object, model: Model, find_file: FindFile) -> None:
    """Check params.referenceMediaItems."""
    if items is None:
        return
    if not isinstance(items, list):
        raise invalid("'params.referenceMediaItems' must be a list.")
    if len(items) > (allowed := max_files(model)):
        most = f"at most {allowed}" if allowed else "no"
        raise invalid(f"'{model.id}' takes {most} reference files.")
    for number, item in enumerate(items):
        _check_reference(item, f"referenceMediaItems[{number}]", model, find_file)


def _check_reference(item: object, place: str, model: Model, find_file: FindFile) -> None:
    """Check one reference."""
    if not isinstance(item, dict):
        raise invalid(f"'{place}' must be an object.")
    unknown = sorted(set(item) - _ITEM_KEYS)
    if unknown:
        raise invalid(f"'{place}.{unknown[0]}' is not known.")
    for key in ("name", "mimeType", "durationToken"):
        if not isinstance(item.get(key, ""), str):
            raise invalid(f"'{place}.{key}' must be a text.")
    if item.get("kind") not in (kinds := list(limits(model))):
        raise invalid(f"'{place}.kind' must be {' or '.join(kinds)}.")
    _check_source(item, place, find_file)


def _check_source(item: Mapping[str, object], place: str, find_file: FindFile) -> None:
    """Check where a reference comes from: an upload of this account, or anywhere by https."""
    url = item.get("url")
    if not isinstance(url, str):
        raise invalid(f"'{place}.url' is required.")
    file = find_file(url)
    if file is None:
        if not _is_https(url):
            raise invalid(f"'{place}.url' is neither a file of this account nor an https URL.")
        return
    if item["kind"] != file.kind:
        raise invalid(f"'{place}.kind' is {item['kind']}, but the file is of kind {file.kind}.")
    if file.token and item.get("durationToken") != file.token:
        raise invalid(f"'{place}.durationToken' is missing or not that of the file.")


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket that is never closed
        return False
    return parts.scheme == "https" and bool(parts.hostname)
