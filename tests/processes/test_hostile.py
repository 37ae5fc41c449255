"""Results, messages and redirects of a server that means harm; and where the key may be seen: nowhere."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from itertools import cycle
from pathlib import Path

from tests.processes.hostile import ESCAPES, HUGE, MARKS, PNG, bomb, hostile
from tests.processes.program import SECRET, Program, check_files, serving

URLS = {
    "file": "file:///etc/passwd",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "private": "http://10.0.0.1/x.png",
    "private-tls": "https://192.168.1.1/x.png",
    "password": "https://user:word@example.com/x.png",
    "words": "not a url at all",
    "ftp": "ftp://example.com/x.png",
    "to-file": "{own}/to-file",
    "to-private": "{own}/to-private",
    "round": "{own}/round",
    "huge": "{own}/huge",
    "names": "{own}/names",
    "neighbour": "{other}/x.png",
    "to-neighbour": "{own}/to-neighbour",
}
SAVED = {"names", "neighbour", "to-neighbour"}


def in_manifest(program: Program, names: list[str]) -> str:
    """Write a manifest with a task of each name; the prompt says what shall happen."""
    tasks = "".join(f"  - {{id: {name}, prompt: trap {name}}}\n" for name in names)
    more = "stop_after: {in_a_row: 100, share: 1}\nretries: 0\n"
    return program.manifest(f"version: 1\nname: m\n{more}defaults: {{model: z-image}}\ntasks:\n{tasks}")


def test_results_that_lead_elsewhere(program: Program, tmp_path: Path) -> None:
    """Result URLs to files, private addresses, rings and 50 GB are refused; names from outside are not used; the key stays home."""
    prompts: dict[str, str] = {}

    def poison(request: str, answer: dict[str, object]) -> dict[str, object]:
        if not answer.get("result"):
            return answer
        task = server.account.task(str(answer["id"]))
        assert task is not None
        prompts[task.id] = task.prompt
        url = URLS[task.prompt.removeprefix("trap ")].replace("{own}", server.address).replace("{other}", other)
        return {**answer, "result": {"primary_url": url, "urls": [url]}}

    with hostile(tmp_path, poison) as (server, neighbour, other):
        server.traps = {
            "/to-file": (302, {"location": "file:///etc/passwd"}, b""),
            "/to-private": (302, {"location": "http://169.254.169.254/"}, b""),
            "/round": (302, {"location": "/round"}, b""),
            "/huge": (200, {"content-type": "video/mp4", "content-length": str(HUGE)}, b"\0" * 1000),
            "/names": (200, {"content-type": "image/png", "content-disposition": 'attachment; filename="../../../evil.sh"'}, PNG),
            "/to-neighbour": (302, {"location": f"{other}/y.png"}, b""),
        }
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = server.address
        before = {path for path in tmp_path.rglob("*") if path.is_file() and program.folder not in path.parents}
        said = program("run", in_manifest(program, list(URLS)), "--yes")
        assert said.code == 6, said
        rendered = program.query("SELECT ident, state FROM tasks ORDER BY ident")
        assert rendered == sorted((name, "done" if name in SAVED else "rendered") for name in URLS)
        check_files(program)
        assert {path.name for path in program.outputs.rglob("*.png")} == {f"{name}.png" for name in SAVED}
        after = {path for path in tmp_path.rglob("*") if path.is_file() and program.folder not in path.parents}
        assert {path.name for path in after - before} <= {path.name for path in program.heard} | {
            "hostile.sqlite3-wal",
            "hostile.sqlite3-shm",
        }
        assert len(neighbour.got) == 2
        assert not any(SECRET in value for _, headers in neighbour.got for value in headers.values())
        assert "root:" not in said.out + said.err
        assert "\x1b" not in said.out + said.err
        assert program.query("SELECT sum(credits) FROM money WHERE kind = 'capture'") == [(len(URLS),)]
        # Once the server has come to its senses, everything that was paid is fetched, and nothing is bought again.
        server.poison = lambda _, answer: answer
        assert program("resume").code == 0
        assert server.met.count("/api/v1/generations") == len(URLS)
        assert program.query("SELECT DISTINCT state FROM tasks") == [("done",)]


def test_api_that_redirects(program: Program, tmp_path: Path) -> None:
    """A redirect of the API is not followed: neither the key nor the purchase reaches another host, and nothing counts as bought."""
    with hostile(tmp_path, lambda _, answer: answer) as (server, neighbour, other):
        server.traps = {"/api/v1/credits": (307, {"location": f"{other}/api/v1/credits"}, b"")}
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = server.address
        said = program("credits")
        assert said.code != 0
        assert neighbour.got == []


TURNS = cycle((False, True))
"""Every second purchase is refused: five first refusals in a row would stop the manifest."""


def evil(request: str, answer: dict[str, object]) -> dict[str, object]:
    """Put escape codes, the caller's key and floods into every text of an answer."""
    method, path, key = request.split(" ")
    if method == "POST" and path.endswith("generations"):
        if answer.get("id") and next(TURNS):
            error = {"code": f"c{ESCAPES}{key}", "message": f"your key is {key}{ESCAPES}" + "!" * 50_000, "requestId": f"r{ESCAPES}{key}"}
            return {"status_code": 400, "error": error}
        return {**answer, "status": f"queued{ESCAPES}", "result": None}
    if method == "GET" and "generations" in path:
        error = {"code": f"generation_failed{ESCAPES}", "message": f"{key} {ESCAPES}", "requestId": key}
        return {**answer, "status": "failed", "result": None, "final_credits": 0, "error": error}
    return answer


def on_a_terminal(program: Program, *arguments: str) -> tuple[int, bytes]:
    """Run a command on a pseudo-terminal; return its exit code and every byte that the terminal got."""
    ours, theirs = pty.openpty()
    environ = {**program.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "batchgen", *arguments]
    process = subprocess.Popen(command, cwd=program.folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    got = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # what Linux says when the last process has closed its side
            break
        if not piece:
            break
        got += piece
    os.close(ours)
    return process.wait(30), got


def harmless(screen: bytes) -> None:
    """Nothing that came from outside is a byte that a terminal obeys."""
    text = screen.decode("utf-8")
    assert not [mark for mark in MARKS if mark in text]
    assert SECRET not in text


def test_messages_on_a_terminal(program: Program, tmp_path: Path) -> None:
    """Escape codes in the server's words and in prompts never reach the terminal raw, and a key that the server quotes is not shown."""
    with hostile(tmp_path, evil) as (server, _, _):
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = server.address
        task = json.dumps({"id": "esc", "prompt": f"a red {MARKS[2]} shoe {MARKS[6]} evil"})
        tasks = "".join(f"  - {{id: t{n}, prompt: shoe {n}}}\n" for n in range(8))
        header = "version: 1\nname: m\nretries: 0\ndefaults: {model: z-image}\nstop_after: {in_a_row: 100, share: 1}\n"
        manifest = program.manifest(f"{header}tasks:\n  - {task}\n{tasks}")
        code, screen = on_a_terminal(program, "run", manifest, "--yes", "--verbose")
        harmless(screen)
        assert code == 1
        assert program.query("SELECT count(*) FROM tasks WHERE state = 'failed'") == [(9,)]
        commands = (
            "show esc|tasks|status|report|report --csv -|validate m.yaml|plan m.yaml|plan m.yaml --retry-failed|fetch|resolve esc --resend"
        )
        for command in commands.split("|"):
            code, screen = on_a_terminal(program, *command.split(" "))
            assert screen, command
            assert code in {0, 2}, (command, screen)
            harmless(screen)
        assert program.query("SELECT max(length(fault_message)) FROM events")[0][0] <= 4000  # type: ignore[operator]  # a number


def test_a_result_that_inflates(program: Program, tmp_path: Path) -> None:
    """A result of some kilobytes that inflates to 100 MB goes through memory in pieces."""

    def poison(request: str, answer: dict[str, object]) -> dict[str, object]:
        return {**answer, "result": {"urls": [f"{server.address}/bomb"]}} if answer.get("result") else answer

    with hostile(tmp_path, poison) as (server, _, _):
        server.traps = {"/bomb": (200, {"content-type": "image/png", "content-encoding": "gzip"}, bomb())}
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = server.address
        said, peak = program.measured("run", program.images(1), "--yes")
        assert said.code == 0, said
        assert peak < 150


BUG = """\
import sys
from batchgen.cli.main import main

def heard(name, details):
    if name == "socket.connect":
        raise LookupError("a bug below the client")

sys.addaudithook(heard)
sys.exit(main(sys.argv[1:]))
"""


def test_secret_in_what_is_made_of_a_night(program: Program, tmp_path: Path) -> None:
    """Nor in logs, metrics, messages, pings, report pages, exports, backups, plans, nor in the words and the traceback of a bug."""
    with hostile(tmp_path, lambda _, answer: answer) as (_, neighbour, other), serving(tmp_path / "server", "fail=0.3,seed=4") as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        notes = f"metrics: night.prom\nping: {other}/ping\nnotify:\n  urls: ['json://{other.removeprefix('http://')}/note']\n"
        with (program.folder / "batchgen.yaml").open("a", encoding="utf-8") as settings:
            settings.write(notes)
        manifest = program.images(6, more="retries: 0\n")
        assert program("plan", manifest, "--out", "kept.plan").code == 0
        assert program("run", manifest, "--yes", "--verbose", "--log-file", "night.log", "--log-format", "json").code == 1
        asked = " ".join(line for line, _ in neighbour.got)
        assert "/ping" in asked
        assert "/note" in asked
        assert b"batchgen" in b"".join(neighbour.bodies)
        assert SECRET not in f"{neighbour.got} {neighbour.bodies}"
        for words in (
            ("report", "--html", "r.html"),
            ("report", "--csv", "r.csv"),
            ("report", "--jsonl", "r.jsonl"),
            ("report", "--junit", "r.xml"),
        ):
            assert program(*words).code == 0, words
        assert program("ledger", "backup", "copy.sqlite3").code == 0
        bug = program.start_python("-c", BUG, "run", manifest, "--yes", "--retry-failed", "--verbose").end()
        assert (bug.code, "Traceback" in bug.err, "a bug below the client" in bug.err) == (70, True, True), bug
        made = {path.name for path in program.files()}
        assert made >= {"kept.plan", "night.log", "night.prom", "r.html", "r.csv", "r.jsonl", "r.xml", "copy.sqlite3"}


def test_secret(program: Program, tmp_path: Path) -> None:
    """The key is in nothing that is written or said, with faults, --verbose, JSON and tracebacks; the fixture looks everywhere."""
    with serving(tmp_path / "server", "fail=0.3,drop_after=0.05,render=0.1,seed=4") as service:
        program.sandboxed = False
        program.environ["RIVYA_BASE_URL"] = service.address
        run = program("run", program.images(12, more="retries: 0\n"), "--yes", "--verbose", "--json")
        assert run.code == 1
        (program.folder / "broken.sqlite3").write_bytes(b"no ledger")
        broken = program("run", "m.yaml", "--verbose", "--ledger", "broken.sqlite3")
        assert (broken.code, "Traceback" in broken.err) == (2, True)
        half = f"{SECRET}\nX-Injected: 1"
        assert program("credits", "--verbose", RIVYA_API_KEY=half).code == 5
        assert program("credits", "--verbose", RIVYA_BASE_URL=f"https://u:{SECRET}@rivya.test").code == 2
        assert program("run", "m.yaml", "--retry-failed", "--verbose", RIVYA_API_KEY="rvya_sk_revoked_" + SECRET).code == 5
        modes = {path.name: path.stat().st_mode & 0o077 for path in program.ledger.parent.iterdir()}
        assert not any(modes.values()), modes


OTHERS = 0o077
"""What anybody but the owner may do with a file."""


def test_only_the_owner_reads_what_names_prompts_or_money(program: Program) -> None:
    """Ledger, the sandbox's books, sidecars, log, plans and reports, whatever the umask; renders are handed on."""
    manifest = program.images(2)
    given = set(program.files())
    before = os.umask(0)
    try:
        assert program("plan", manifest, "--out", "kept.plan", *program.flags).code == 0
        assert program("run", manifest, "--yes", "--log-file", "night.log", *program.flags).code == 0
        for kind in ("html", "csv", "jsonl", "junit"):
            assert program("report", f"--{kind}", f"r.{kind}", *program.flags).code == 0
        modes = {path.relative_to(program.folder).as_posix(): path.stat().st_mode & OTHERS for path in set(program.files()) - given}
        page = program.folder / "r.html"
        page.chmod(0o640)
        assert program("report", "--html", "r.html", *program.flags).code == 0
        assert page.stat().st_mode & OTHERS == 0o040, "opened to others once, opened to them every night"
    finally:
        os.umask(before)
    open_to_others = {name: mode for name, mode in modes.items() if mode}
    assert {Path(name).suffix for name in open_to_others} == {".png"}, open_to_others
    private = {Path(name).suffix for name in modes.keys() - open_to_others.keys()}
    assert private >= {".sqlite3", ".json", ".log", ".plan", ".html", ".csv", ".jsonl", ".junit"}, modes
