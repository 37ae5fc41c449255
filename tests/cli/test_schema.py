"""`schema` and `completion`: what editors and shells are given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from batchgen.catalogue import Catalogue
from batchgen.catalogue.model import ParamType
from batchgen.cli.group import COMMANDS
from batchgen.report.schemas import schema_names
from tests.cli.calling import ROOT, Cli


@pytest.fixture
def editor(cli: Cli) -> jsonschema.Draft202012Validator:
    """The manifest's schema as an editor has it."""
    schema = cli("schema").document()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def manifest(**task: object) -> dict[str, object]:
    """A manifest of one task."""
    return {"version": 1, "name": "m", "tasks": [{"id": "a", "prompt": "p", **task}]}


@pytest.mark.parametrize("name", ["minimal", "references", "marketing"])
def test_examples_are_right(editor: jsonschema.Draft202012Validator, name: str) -> None:
    """An editor finds nothing wrong with the examples; it reads `9:16` as text, as YAML 1.2 does."""
    loader = type("Yaml12", (yaml.SafeLoader,), {})
    loader.yaml_implicit_resolvers = {  # type: ignore[attr-defined]  # of SafeLoader: YAML 1.1's base-60 numbers are left out
        first: [(tag, pattern) for tag, pattern in found if tag not in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    loader.add_implicit_resolver("tag:yaml.org,2002:int", __import__("re").compile(r"^-?[0-9]+$"), list("-0123456789"))  # type: ignore[attr-defined]  # as above
    text = (ROOT / f"manifests/{name}.yaml").read_text(encoding="utf-8")
    editor.validate(yaml.load(text, loader))  # noqa: S506  a SafeLoader with fewer kinds of numbers


def test_params_of_the_tasks_own_model(editor: jsonschema.Draft202012Validator) -> None:
    """A task's params are checked against its model: names, options, and placeholders."""
    for right in ({"duration": 5}, {"duration": "10"}, {"sound": False}, {"aspect_ratio": "${format}"}):
        editor.validate(manifest(model="kling-2-6", params=right))
    for wrong in ({"duration": 7}, {"durration": 5}, {"sound": "maybe"}):
        assert not editor.is_valid(manifest(model="kling-2-6", params=wrong)), wrong


def test_params_of_the_default_model(editor: jsonschema.Draft202012Validator) -> None:
    """A task without a model has the params of the default one; a model of its own comes first; a plain string has none."""
    right = manifest(params={"duration": 5}) | {"defaults": {"model": "kling-2-6", "params": {"sound": True}}}
    editor.validate(right)
    editor.validate({**right, "tasks": ["A plain prompt"]})
    assert not editor.is_valid(manifest(params={"durration": 5}) | {"defaults": {"model": "kling-2-6"}})
    assert not editor.is_valid(manifest() | {"defaults": {"model": "kling-2-6", "params": {"durration": 5}}})
    other = next(model.id for model in Catalogue.shipped() if "duration" not in model.params and not model.params_complete)
    editor.validate(manifest(model=other, params={"durration": 5}) | {"defaults": {"model": "kling-2-6"}})


def every_option() -> Iterator[tuple[str, str, object]]:
    """Yield every option of every select of the catalogue, and the ends of every number."""
    for model in Catalogue.shipped():
        for param in model.params.values():
            if param.type is ParamType.SELECT:
                yield from ((model.id, param.key, option) for option in param.options)
            if param.type is ParamType.NUMBER:
                yield from ((model.id, param.key, end) for end in (param.minimum, param.maximum) if end is not None)


def test_everything_in_the_catalogue_is_right(cli: Cli) -> None:
    """Every option and every end of a range of every model is right for the editor too."""
    parts = cli("schema").document()["$defs"]
    assert isinstance(parts, dict)
    for model, key, value in every_option():
        jsonschema.Draft202012Validator(parts[f"params of {model}"]).validate({key: value})


def test_every_schema_is_printed(cli: Cli) -> None:
    """Each schema that ships is printed as it is; an unknown name lists those that there are."""
    for name in schema_names():
        printed = cli("schema", name).document()
        jsonschema.Draft202012Validator.check_schema(printed)
        if name != "manifest":
            assert printed == json.loads((ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8"))
    called = cli("schema", "nonsense")
    assert called.code == 2
    assert "'manifest'" in called.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(cli: Cli, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shell gets its script, and what that asks for is answered: commands, options, and choices."""
    script = cli("completion", shell)
    assert script.code == 0
    assert f"_BATCHGEN_COMPLETE={shell}_complete" in script.out

    def complete(typed: str, last: str = "") -> str:
        for name, value in (("COMP_WORDS", typed), ("COMP_CWORD", last if shell == "fish" else str(typed.count(" ")))):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("_BATCHGEN_COMPLETE", f"{shell}_complete")
        said = cli().out
        monkeypatch.delenv("_BATCHGEN_COMPLETE")
        return said

    assert "status" in complete("batchgen sta", "sta")
    assert all(name in complete("batchgen ") for name in COMMANDS)
    assert "--log-file" in complete("batchgen run --log", "--log")
    assert "zsh" in complete("batchgen completion z", "z")
    # What is wrong is said when it is called, and not into the line that is being typed.
    assert "init" in complete("batchgen nonsense ")
    assert "pause" in complete("batchgen control budget -1 ")


def test_completion_of_an_unknown_shell(cli: Cli) -> None:
    """An unknown shell is refused in words."""
    called = cli("completion", "powershell")
    assert called.code == 2
    assert "'bash', 'zsh', 'fish'" in called.err


def test_init_names_the_schema(cli: Cli, workspace: Path) -> None:
    """What `init` writes says how an editor gets to know the params."""
    cli("init")
    assert "batchgen schema >" in (workspace / "manifests/first.yaml").read_text(encoding="utf-8")
