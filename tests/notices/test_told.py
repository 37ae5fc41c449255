"""From the settings to the wire: a run in the sandbox that tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.cli.main import main
from tests.notices.listener import listening

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")  # Apprise's own, in its own code


def test_a_run_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start and end reach the switch, the messages that were asked for are sent, and the metrics lie in their place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHGEN_NOTIFY", "json://127.0.0.1:9")  # the real account's; a sandbox run has its own
    (tmp_path / "m.yaml").write_text("version: 1\nname: m\ndefaults: {model: z-image}\ntasks: [a red shoe, a blue one]\n")
    with listening() as heard:
        base = f"127.0.0.1:{heard.port}"
        notices = f"notify: {{urls: json://{base}, events: [success, budget]}}, ping: http://{base}/id, metrics: m.prom"
        (tmp_path / "batchgen.yaml").write_text(f"sandbox: {{faults: render=0.05, {notices}}}\n")
        assert main(["run", "m.yaml", "--sandbox", "--yes", "--budget", "1"]) == 3
        assert main(["resume", "--sandbox"]) == 3
        assert main(["run", "m.yaml", "--sandbox", "--yes"]) == 0
        assert heard.asked == ["/id/start", "/id", "/id/start", "/id", "/id/start", "/id"]
        titles = [told["title"] for told in heard.told]
        assert titles == ["batchgen run stopped at a budget: m", "batchgen resume stopped at a budget: m", "batchgen run is done: m"]
        assert "batchgen status --sandbox" in heard.told[0]["message"]
    lines = (tmp_path / "m.prom").read_text().splitlines()
    assert any(line.startswith("batchgen_run_exit_code{") and line.endswith(" 0") for line in lines)
    assert any('state="done"} 2' in line for line in lines)
