"""Start-up, pipes, closed streams, poor environments, and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.processes.program import Program, Running

HEAVY = ("httpx2", "sqlalchemy", "yaml", "rich", "jsonschema", "starlette", "uvicorn")
ROWS = 10_000


def fastest(program: Program, *arguments: str) -> float:
    """Return the wall time of starting Python with these arguments, in seconds."""
    begun = time.perf_counter()
    assert program.start_python(*arguments).end().code == 0
    return time.perf_counter() - begun


def test_help_starts_fast(program: Program) -> None:
    """`--help` takes at most four times as long as importing httpx2, measured in turns; the best of five counts."""
    turns = [(fastest(program, "-m", "batchgen", "--help"), fastest(program, "-c", "import httpx2")) for _ in range(5)]
    ours, theirs = (min(times) for times in zip(*turns, strict=True))
    assert ours <= 4 * theirs, (ours, theirs)


def test_help_imports_nothing_heavy(program: Program) -> None:
    """`--help` loads no HTTP, no database, no YAML and nothing of the sandbox; nor does the help of a command that is misspelt."""
    code = f"import sys; from batchgen.cli.main import main; main(sys.argv[1:]); print([m for m in {HEAVY!r} if m in sys.modules])"
    for arguments in (["--help"], ["--version"], ["rnu"]):
        said = program.start_python("-c", code, *arguments).end()
        assert said.out.splitlines()[-1] == "[]", said.out


def shell(program: Program, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in the workspace; `bg` in it is the program."""
    script = f"set -o pipefail; bg() {{ '{sys.executable}' -m batchgen \"$@\"; }}; {line}"
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=program.folder,
        env={**program.environ, **environ},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        encoding="utf-8",
    )
    for name, text in (("out", done.stdout), ("err", done.stderr)):
        path = program.folder.parent / f"shell-{len(program.heard)}.{name}"
        path.write_text(text)
        program.heard.append(path)
    return done


def test_pipes_and_poor_environments(program: Program) -> None:
    """A reader that leaves, closed streams, no HOME, TERM=dumb and LANG=C with emoji change neither the work nor the exit code."""
    emoji = "a 🦊 in the ❄️, 夜"
    tasks = "".join(f"  - {{id: t{n}, prompt: '{emoji} {n}'}}\n" for n in range(400))
    manifest = program.manifest(f"version: 1\nname: m\ndefaults: {{model: z-image}}\ntasks:\n{tasks}")
    words = f"run {manifest} --yes --sandbox --faults render=0 --max-tasks"
    poor = shell(program, f"bg {words} 3", LANG="C", LC_ALL="C", TERM="dumb", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert poor.returncode == 3, poor.stderr
    assert poor.stderr.isascii()
    closed = shell(program, f"bg {words} 5 >&- 2>&- <&-; echo code $?")
    assert (closed.stdout, closed.stderr) == ("code 3\n", "")
    listed = shell(program, "bg tasks --sandbox --format csv | head -n 2", LANG="C", LC_ALL="C")
    assert (listed.returncode, listed.stderr, len(listed.stdout.splitlines())) == (0, "", 2)
    summary = shell(program, f"bg {words} 4 | true")
    assert summary.returncode == 3, summary.stderr  # the run's own code, not the pipe's
    nowhere = shell(program, "bg status --sandbox --json > /dev/full; echo code $?")
    assert nowhere.stdout == "code 6\n", nowhere
    assert "Traceback" not in nowhere.stderr
    full = shell(program, f"bg {words} 2 > /dev/full; echo code $?")
    assert full.stdout == "code 3\n", full  # the run did what it did
    states = json.loads(shell(program, "bg status --sandbox --json").stdout)["manifests"][0]["tasks"]
    assert (states["done"], states["pending"]) == (14, 386)


def test_memory_of_a_long_manifest(program: Program) -> None:
    """10,000 rows are checked, and run, in less than 250 MB."""
    lines = "".join(f"s{n},Vase number {n} with a long description of its glaze and shape,{n % 7}\n" for n in range(ROWS))
    (program.folder / "rows.csv").write_text(f"sku,name,kind\n{lines}")
    task = '{id: "${sku}", prompt: "${name} on oak, kind ${kind}", foreach: rows.csv}'
    manifest = program.manifest(f"version: 1\nname: m\ndefaults: {{model: z-image}}\ntasks:\n  - {task}\n")
    checked, checking = program.measured("validate", manifest)
    assert checked.code == 0, checked.err
    ran, running = program.measured("run", manifest, "--yes", "--sandbox", "--max-tasks", "5", "--faults", "render=0")
    assert ran.code == 3, ran.err
    sys.stdout.write(f"peak: validate {checking:.0f} MB, run {running:.0f} MB\n")
    assert max(checking, running) < 250
    assert program.query("SELECT state, count(*) FROM tasks GROUP BY state") == [("done", 5), ("pending", ROWS - 5)]


def test_finished_by_nobody(program: Program, tmp_path: Path) -> None:
    """A folder that cannot be written is refused with its name; root writes everywhere, so a file stands in the way here."""
    (program.folder / ".batchgen").write_text("in the way")
    running: Running = program.start("run", program.images(1), "--yes", "--sandbox")
    said = running.end()
    assert said.code in {2, 6}, said
    assert ".batchgen" in said.err
    assert "bug" not in said.err
