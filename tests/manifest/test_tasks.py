"""From a manifest to its tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.catalogue import Catalogue
from batchgen.core.model import Budget, Manifest, StopAfter
from batchgen.errors import ManifestError
from batchgen.manifest import check

from .conftest import HEAD, PNG, Folder

Png = Callable[[str], Path]


def test_the_header_becomes_a_manifest(folder: Folder) -> None:
    """Every field of the header arrives, typed."""
    folder.write(
        "m.yaml",
        "version: 1\nname: spring-launch\nbudget: {total: 20000, per_run: 5500, per_day: 0}\n"
        "limits: {in_flight: 10}\ncanary: 3\nretries: 0\n"
        "stop_after: {in_a_row: 5, share: 0.25}\ntasks:\n  - {id: a, prompt: x, model: z-image}\n",
    )
    (loaded,) = folder.check().manifests
    assert dataclasses.replace(loaded.header, path="") == Manifest(
        "spring-launch", "", Budget(20000, 5500, 0), 10, 3, 0, StopAfter(5, 0.25)
    )
    assert (loaded.task_count, loaded.tasks_by_model, loaded.folder) == (1, {"z-image": 1}, str(folder.path))


def test_what_the_header_leaves_out_has_its_usual_value(folder: Folder) -> None:
    """Only version, name and tasks are needed."""
    (loaded,) = folder.of_tasks("  - {id: a, prompt: x}\n").check().manifests
    assert loaded.header == Manifest("test", str(folder.path / "m.yaml"))


def test_defaults_are_merged_under_the_task(folder: Folder, png: Png) -> None:
    """A task's own params and references win; its model may be its own."""
    png("d.png")
    head = "version: 1\nname: t\ndefaults:\n  model: kling-2-6\n  params: {duration: 5, sound: false}\n  references: [d.png]\n"
    folder.of_tasks("  - {id: a, prompt: x, params: {duration: 10}}\n  - {id: b, prompt: x, references: []}\n", head)
    a, b = folder.tasks()
    assert (a.spec.params, [r.name for r in a.spec.references]) == ({"duration": "10", "sound": "false"}, ["d.png"])
    assert b.spec.references == ()


def test_params_are_as_they_will_be_sent(folder: Folder) -> None:
    """Selects are strings as the option is spelt, numbers are numbers, texts are texts."""
    folder.of_tasks(
        "  - {id: a, prompt: x, model: kling-v2-1-master, params: {duration: 5, cfg_scale: 0.7, negative_prompt: no, aspect_ratio: 16:9}}\n"
    )
    assert folder.tasks()[0].spec.params == {"duration": "5", "cfg_scale": 0.7, "negative_prompt": "no", "aspect_ratio": "16:9"}


def test_rows_matrix_and_takes_multiply_in_written_order(folder: Folder) -> None:
    """Rows go slowest, then the matrix as written, then takes from 1."""
    folder.write("p.csv", "sku,name\ncup,Cup\nmug,Mug\n")
    folder.of_tasks(
        "  - {id: first, prompt: x}\n"
        '  - id: ${sku}-${r}-${s}-${take}\n    prompt: "${name} on ${s}"\n    params: {aspect_ratio: "${r}"}\n'
        '    foreach: p.csv\n    matrix: {r: ["1:1", 16:9], s: [oak]}\n    takes: 2\n'
    )
    tasks = folder.tasks()
    assert [t.id for t in tasks] == [
        "first", "cup-1:1-oak-1", "cup-1:1-oak-2", "cup-16:9-oak-1", "cup-16:9-oak-2",
        "mug-1:1-oak-1", "mug-1:1-oak-2", "mug-16:9-oak-1", "mug-16:9-oak-2",
    ]  # fmt: skip
    assert [t.position for t in tasks] == list(range(9))
    assert (tasks[1].spec.prompt, tasks[1].spec.params, tasks[1].output, tasks[1].line) == (
        "Cup on oak",
        {"aspect_ratio": "1:1"},
        "test/cup-1-1-oak-1",
        7,
    )


def test_tasks_can_be_read_again(folder: Folder) -> None:
    """The same tasks come each time."""
    (loaded,) = folder.of_tasks("  - {id: a, prompt: x}\n  - some words\n").check().manifests
    assert list(loaded.tasks()) == list(loaded.tasks())


def test_what_was_checked_is_what_is_made(folder: Folder, png: Png) -> None:
    """A file that changes or goes away after the check changes no task: each row is read once."""
    folder.write("rows.csv", "sku\na\nb\n")
    path = png("a.png")
    (loaded,) = folder.of_tasks("  - {id: '${sku}', prompt: x, references: [a.png], foreach: rows.csv}\n").check().manifests
    before = list(loaded.tasks())
    folder.write("rows.csv", "sku\nc\n")
    path.unlink()
    assert list(loaded.tasks()) == before
    assert [task.id for task in before] == ["a", "b"]


def test_tasks_that_are_not_wanted_are_not_kept(folder: Folder) -> None:
    """`validate` needs no room for tasks."""
    folder.of_tasks("  - {id: a, prompt: x}\n")
    (loaded,) = check([folder.path / "m.yaml"], Catalogue.shipped(), keep=False).manifests
    assert (loaded.task_count, list(loaded.tasks())) == (1, [])


def test_a_plain_string_has_an_id_of_words_and_fingerprint(folder: Folder) -> None:
    """The id stays while the prompt and what it inherits stay."""
    folder.of_tasks("  - A Cup of tea, on oak!\n  - 日本語のプロンプト\n  - '...'\n")
    tasks = folder.tasks()
    assert [t.id for t in tasks] == [
        f"a-cup-of-tea-on-oak-{tasks[0].spec.fingerprint[:8]}",
        f"日本語のプロンプト-{tasks[1].spec.fingerprint[:8]}",
        f"task-{tasks[2].spec.fingerprint[:8]}",
    ]


def test_the_same_plain_string_twice_is_an_error(folder: Folder) -> None:
    """Two equal prompts would be one task."""
    assert "is used twice, first at m.yaml:6" in folder.of_tasks("  - a cup\n  - a cup\n").said()


@pytest.mark.parametrize("takes", ["0", "1001", "-1", "two", "1.5", "99999999999999999999999"])
def test_takes_are_counted_from_one_to_a_thousand(folder: Folder, takes: str) -> None:
    """Other numbers are mistakes."""
    said = folder.of_tasks(f"  - {{id: 'a-${{take}}', prompt: x, takes: {takes}}}\n").said()
    assert "m.yaml:6" in said
    assert "takes" in said


def test_a_matrix_that_explodes_is_refused(folder: Folder) -> None:
    """A product beyond reason is a mistake, and is not begun."""
    lists = ", ".join(f"m{i}: [{', '.join(map(str, range(20)))}]" for i in range(10))
    ids = "".join(f"${{m{i}}}" for i in range(10))
    assert "more than 100,000 tasks of one row" in folder.of_tasks(f"  - id: a{ids}\n    prompt: x\n    matrix: {{{lists}}}\n").said()


def test_an_id_that_does_not_tell_takes_apart_is_explained(folder: Folder) -> None:
    """Better one sentence than a duplicate for every task."""
    said = folder.of_tasks("  - {id: a, prompt: x, takes: 3, matrix: {s: [oak, elm]}}\n").said()
    assert "put ${s} and ${take} into it" in said
    assert "used twice" not in said


def test_an_id_that_every_row_shares_is_not_said_a_thousand_times(folder: Folder) -> None:
    """The first few repetitions show the cause."""
    folder.write("p.csv", "sku\n" + "".join(f"s{i}\n" for i in range(500)))
    problems = folder.of_tasks("  - {id: same, prompt: x, foreach: p.csv}\n").problems()
    assert [(p.file, p.line) for p in problems] == [("p.csv", 3), ("p.csv", 4), ("p.csv", 5)]
    assert problems[0].wrong == 'the id "same" is used twice, first at p.csv:2'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${nme}", "${nme} stands for nothing; did you mean name?"),
        ("${take}", "${take} stands for nothing"),
        ("${manifest}", "${manifest} stands for nothing"),
        ("${}", "${} stands for nothing"),
        ("${HOME", "there is a ${ without its }"),
    ],
)
def test_unknown_names_are_errors_with_a_suggestion(folder: Folder, text: str, said: str) -> None:
    """Only names of the row, the matrix and the takes are filled; never the environment."""
    folder.write("p.csv", "sku,name\ncup,Cup\n")
    folder.of_tasks(f"  - id: ${{sku}}\n    prompt: 'x {text}'\n    foreach: p.csv\n")
    (problem,) = folder.problems()
    assert said in str(problem)
    assert (problem.line, problem.column) == (7, 13)


def test_dollars_stay(folder: Folder) -> None:
    """A price is no name, and $${x} is the characters ${x}."""
    folder.of_tasks("  - {id: a, prompt: 'only $5, $$6, $${x} and $x'}\n")
    assert folder.tasks()[0].spec.prompt == "only $5, $$6, ${x} and $x"


def test_filled_text_is_not_filled_again(folder: Folder) -> None:
    """A cell is data."""
    folder.write("p.csv", "sku,name\ncup,${sku} $5 $${x}\n")
    folder.of_tasks("  - {id: '${sku}', prompt: '${name}', foreach: p.csv}\n")
    assert folder.tasks()[0].spec.prompt == "${sku} $5 $${x}"


def test_a_name_from_two_places_is_an_error(folder: Folder) -> None:
    """A column and a matrix name, or take, must differ."""
    folder.write("p.csv", "sku,take\ncup,1\n")
    folder.of_tasks("  - {id: '${sku}-${take}', prompt: x, foreach: p.csv, matrix: {sku: [a]}, takes: 2}\n")
    assert [p.wrong for p in folder.problems()] == [
        'the name "sku" comes from foreach and again from matrix or takes',
        'the name "take" comes from foreach and again from matrix or takes',
    ]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{id: a}", "there is no prompt"),
        ("{id: a, prompt: }", "the prompt is empty"),
        ("{id: a, prompt: ' \n '}", "the prompt is empty"),
        ("{prompt: x}", "id is missing"),
        ("{id: '', prompt: x}", "the id is empty"),
        ("{id: a, promt: x}", 'there is no key "promt"; did you mean prompt?'),
        ("{id: a, prompt: x, params: {duraton: 5}}", 'kling-2-6 has no param "duraton"; did you mean duration?'),
        ("{id: a, prompt: x, params: {duration: 7}}", '"7" is no option of the param duration; known: 5, 10'),
        ("{id: a, prompt: x, params: {aspect_ratio: 16:99}}", "did you mean 16:9?"),
        ("{id: a, prompt: x, params: {duration: }}", "the param duration has no value; give one, or leave the key out"),
        ("{id: a, prompt: x, params: {duration: [5]}}", "must be one value"),
        ("{id: a, prompt: x, params: 5}", "params must be a mapping"),
        ("{id: a, prompt: x, model: kling-26}", 'there is no model "kling-26"; did you mean kling-2-6?'),
        ("{id: a, prompt: x, references: a.png}", "references must be a list"),
        ("{id: a, prompt: x, references: [[a]]}", "references[1] cannot be a list; a file, a https URL"),
        ("{id: a, prompt: x, references: [{fle: a}]}", 'there is no key "fle" in references[1]; did you mean file?'),
        ("{id: a, prompt: x, references: [{file: a, url: b}]}", "either file or url"),
        ("{id: a, prompt: x, matrix: {s: oak}}", "matrix.s must be a list"),
        ("{id: a, prompt: x, matrix: {s: []}}", "matrix.s is empty"),
        ("{id: a, prompt: x, matrix: {}}", "matrix is empty"),
        ("{id: a, prompt: x, foreach: []}", "foreach is empty"),
        ("{id: a, prompt: x, foreach: [oak]}", "foreach[1] must be a mapping"),
        ("{id: a, prompt: x, foreach: p.txt}", "foreach takes .csv and .jsonl files"),
        ("{id: a, prompt: x, foreach: none.csv}", "there is no such file"),
        ("[a, b]", "a task is a mapping or a text, not a list"),
        ("a prompt: with a colon", "if this is a prompt with a colon in it, put it into quotes"),
    ],
)
def test_each_mistake_in_a_task_has_its_sentence(folder: Folder, task: str, said: str) -> None:
    """What is wrong, and what would be right."""
    assert said in folder.of_tasks(f"  - {task}\n").said()


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("name: t\n", "version is missing; write version: 1"),
        ("version: 2\nname: t\n", "m.yaml:1:10: this version of the format is not known; it is for a newer batchgen"),
        ("version: '1'\nname: t\n", "write version: 1"),
        ("version: 1\n", "name is missing"),
        ("version: 1\nname: Spring Launch\n", 'name cannot be "Spring Launch"'),
        ("version: 1\nname: [a]\n", "name must be text, not a list"),
        ("version: 1\nname: t\nbuget: {total: 5}\n", 'm.yaml:3:1: there is no key "buget"; did you mean budget?'),
        ("version: 1\nname: t\nbudget: {totl: 5}\n", 'there is no key "totl" in budget; did you mean total?'),
        ("version: 1\nname: t\nbudget: {total: -5}\n", 'budget.total cannot be "-5"'),
        ("version: 1\nname: t\nbudget: {total: 5.5}\n", "budget.total must be a whole number"),
        ("version: 1\nname: t\nbudget: {total: lots}\n", 'budget.total must be a whole number, not "lots"'),
        ("version: 1\nname: t\nbudget: 500\n", "budget must be a mapping"),
        ("version: 1\nname: t\nlimits: {in_flight: 0}\n", 'limits.in_flight cannot be "0"'),
        ("version: 1\nname: t\nstop_after: {share: 2}\n", 'stop_after.share cannot be "2"'),
        ("version: 1\nname: t\ncanary: -1\n", 'canary cannot be "-1"'),
        ("version: 1\nname: t\nretries: 21\n", 'retries cannot be "21"'),
        ("version: 1\nname: t\ndefaults: {model: kling}\n", 'm.yaml:3:19: there is no model "kling"'),
        ("version: 1\nname: t\noutput: ''\n", "the output has no name"),
        ("version: 1\nname: con\n", "the name con in the output is reserved"),
    ],
)
def test_each_mistake_in_a_header_has_its_sentence(folder: Folder, head: str, said: str) -> None:
    """What is wrong, where, and what would be right."""
    if "model" not in head:
        head += "defaults: {model: z-image}\n"
    assert said in folder.of_tasks("  - {id: a, prompt: x}\n", head).said()


def test_no_model_at_all_is_an_error(folder: Folder) -> None:
    """A model comes from the task or the defaults."""
    assert "no model is given" in folder.of_tasks("  - {id: a, prompt: x}\n", "version: 1\nname: t\n").said()


def test_a_wrong_default_model_is_said_once(folder: Folder) -> None:
    """The tasks that inherit it add nothing."""
    folder.of_tasks("  - {id: a, prompt: x}\n  - {id: b, prompt: x}\n", "version: 1\nname: t\ndefaults: {model: x}\n")
    assert len(folder.problems()) == 1


def test_a_model_that_the_api_lacks_is_refused(folder: Folder) -> None:
    """A studio-only model would be refused by the server."""
    folder.of_tasks("  - {id: a, prompt: x, model: z-image}\n")
    catalogue = Catalogue.shipped().merge([{"id": "z-image", "api_status": "studio_only"}])
    with pytest.raises(ManifestError, match="the Public API does not render with z-image"):
        check([folder.path / "m.yaml"], catalogue)


def test_prompts_are_measured_in_utf_16_units(folder: Folder) -> None:
    """The stricter reading: an emoji counts two."""
    folder.of_tasks(
        f"  - {{id: fits, prompt: '{'🎬' * 500}'}}\n  - {{id: over, prompt: '{'🎬' * 500}x'}}\n  - {{id: ascii, prompt: {'x' * 1001}}}\n"
    )
    problems = folder.problems()
    assert [(p.task, p.line) for p in problems] == [("over", 7), ("ascii", 8)]
    assert problems[0].wrong == "the prompt is 1001 characters long (UTF-16 units), 1 over the 1000 that kling-2-6 takes"


def test_any_script_is_a_prompt(folder: Folder) -> None:
    """Emoji and right-to-left text arrive untouched."""
    prompt = "قهوة ☕ על שולחן 👩‍👩‍👧 \u200f!"
    folder.of_tasks(f"  - {{id: a, prompt: '{prompt}'}}\n")
    assert folder.tasks()[0].spec.prompt == prompt


def test_a_row_with_a_prompt_too_long_is_named_by_its_line(folder: Folder) -> None:
    """The place is where the person will mend it."""
    folder.write("p.csv", f"sku,text\na,ok\nb,{'x' * 1001}\nc,\n")
    folder.of_tasks("  - {id: '${sku}', prompt: '${text}', foreach: p.csv}\n")
    assert [(p.file, p.line, p.task) for p in folder.problems()] == [("p.csv", 3, "b"), ("p.csv", 4, "c")]


def test_all_problems_of_all_manifests_come_in_one_go(folder: Folder) -> None:
    """Nobody wants to run it once per mistake; those of one file stand together, as they will be mended."""
    folder.write("p.csv", "sku,d\na,7\nb,5\nc,9\n")
    folder.write(
        "one.yaml",
        HEAD + "tasks:\n  - {id: '${sku}', prompt: '', foreach: p.csv, params: {duration: '${d}'}, references: [no.png]}\n  - {id: ok}\n",
    )
    folder.write("two.yaml", "version: 1\nname: test\nbuget: 1\ntasks: [")
    folder.write("three.yaml", HEAD + "tasks:\n  - {id: x, prompt: y}\n")
    problems = folder.problems("one.yaml", "two.yaml", "three.yaml")
    assert [(p.file, p.line) for p in problems] == [
        ("one.yaml", 6),
        ("one.yaml", 6),
        ("one.yaml", 7),
        ("p.csv", 2),
        ("p.csv", 4),
        ("two.yaml", 5),
        ("three.yaml", 0),
    ]


def test_the_list_of_problems_ends(folder: Folder) -> None:
    """A thousand are enough, and it says that there may be more."""
    folder.write("p.csv", "sku,d\n" + "".join(f"s{i},7\n" for i in range(3_000)))
    folder.of_tasks("  - {id: '${sku}', prompt: x, foreach: p.csv, params: {duration: '${d}'}}\n")
    problems = folder.problems()
    assert len(problems) == 1_001
    assert "how many more there are is not known" in problems[-1].wrong


def test_dialogue_needs_no_prompt(folder: Folder) -> None:
    """A model that makes its prompt from a param takes tasks without one; its entries are filled, too."""
    folder.of_tasks(
        "  - id: a-${who}\n    model: elevenlabs-dialogue-v3\n    matrix: {who: [Adam]}\n"
        "    params: {stability: 0.5, dialogue: [{voice: '${who}', text: 16:9}, {voice: Lily, text: no}]}\n"
    )
    (task,) = folder.tasks()
    assert task.spec.prompt == ""
    assert task.spec.params == {"stability": "0.5", "dialogue": [{"voice": "Adam", "text": "16:9"}, {"voice": "Lily", "text": "no"}]}


def test_folders_stand_for_their_manifests(folder: Folder) -> None:
    """All .yaml and .yml files in it, sorted, but not the settings."""
    for name in ("b.yaml", "a.yml", "sub/c.yaml"):
        folder.write(name, f"version: 1\nname: {name[:1]}x\ndefaults: {{model: z-image}}\ntasks: [x]\n")
    folder.write("batchgen.yaml", "prices: {}\n")
    folder.write("notes.txt", "x")
    assert [m.header.name for m in folder.check(".").manifests] == ["ax", "bx"]


def test_an_empty_folder_is_an_error(folder: Folder) -> None:
    """Nothing to do was hardly meant."""
    assert "there is no manifest in this folder" in folder.said(".")


def test_the_same_file_twice_counts_once(folder: Folder) -> None:
    """A folder and a file in it may both be named."""
    folder.of_tasks("  - x\n")
    assert len(folder.check(".", "m.yaml").manifests) == 1


def test_two_manifests_of_one_name_are_refused(folder: Folder) -> None:
    """The name is the identity in the ledger."""
    folder.write("a.yaml", HEAD + "tasks: [x]\n")
    folder.write("b.yaml", HEAD + "tasks: [y]\n")
    assert "b.yaml: the name test is also that of a.yaml" in folder.said("a.yaml", "b.yaml")


def test_manifests_must_not_share_outputs(folder: Folder) -> None:
    """One would overwrite the other's render."""
    folder.write("a.yaml", HEAD + "output: ${task}\ntasks: [{id: x, prompt: y}]\n")
    folder.write("b.yaml", HEAD.replace("test", "other") + "output: ${task}\ntasks: [{id: X, prompt: y}]\n")
    assert 'the output "X" is used twice, first at a.yaml:6' in folder.said("a.yaml", "b.yaml")


def test_problems_name_files_as_they_were_typed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path stays one."""
    folder.write("in/m.yaml", HEAD + "tasks:\n  - {id: '${sku}', prompt: '${x}', foreach: p.csv}\n")
    folder.write("in/p.csv", "sku,x\na,\n")
    monkeypatch.chdir(folder.path)
    with pytest.raises(ManifestError) as caught:
        check([Path("in/m.yaml")], Catalogue.shipped())
    assert str(caught.value) == "in/p.csv:2: a: the prompt is empty"


def test_references_count_and_places(folder: Folder, png: Png) -> None:
    """Too many references name the first one too many."""
    png("a.png")
    folder.of_tasks("  - {id: a, prompt: x, references: [a.png, a.png]}\n  - {id: b, prompt: x, model: z-image, references: [a.png]}\n")
    said = folder.said()
    assert "m.yaml:6:44: a: 2 references; kling-2-6 takes 1; up to 1 image file" in said
    assert "b: z-image takes no references" in said


def test_many_rows_read_each_reference_once(folder: Folder) -> None:
    """The same content gives the same identity in every task."""
    folder.write("a.png", PNG)
    folder.write("b.png", PNG)
    folder.write("p.csv", "sku,img\n1,a\n2,b\n3,a\n")
    folder.of_tasks("  - {id: '${sku}', prompt: x, references: ['${img}.png'], foreach: p.csv}\n")
    assert len({t.spec.references[0].sha256 for t in folder.tasks()}) == 1
    assert len({t.spec.fingerprint for t in folder.tasks()}) == 1


def test_one_mistake_hides_no_other(folder: Folder) -> None:
    """A misspelt key, a wrong param, a missing file, an output outside and a second use of the id are all found at once."""
    folder.write("p.csv", "sku\na\nb\n")
    folder.of_tasks(
        "  - {id: hero, promt: x, references: [no.png], params: {duration: 6}}\n"
        "  - {id: hero, prompt: '', output: '../${task}'}\n"
        "  - {id: '${sku}', prompt: x, foreach: p.csv, params: {sound: maybe}, output: '/${task}'}\n"
        "  - {id: '${sku}', prompt: x, foreach: p.csv, matrix: {s: oak}, takes: none, modl: x}\n"
    )
    assert [(p.file, p.line, p.wrong.split(";")[0][:38]) for p in folder.problems()] == [
        ("m.yaml", 6, 'there is no key "promt"'),
        ("m.yaml", 6, '"6" is no option of the param duration'),
        ("m.yaml", 6, 'there is no file "no.png"'),
        ("m.yaml", 7, "the prompt is empty"),
        ("m.yaml", 7, "the output must not contain .. as a na"),
        ("m.yaml", 7, 'the id "hero" is used twice, first at '),
        ("m.yaml", 8, '"maybe" is no option of the param soun'),
        ("m.yaml", 8, "the output must not be an absolute pat"),
        ("m.yaml", 9, 'there is no key "modl"'),
        ("m.yaml", 9, 'matrix.s must be a list, not "oak"'),
        ("m.yaml", 9, 'takes must be a whole number, not "non'),
    ]
