"""Ledgers as weeks of nights would leave them, written by SQL: a million renders would take those nights.

Everything that a run writes of a task is there, its events too, so `ledger check` finds nothing wrong with one of these.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.model import client_request_id

_RETRIES = 3
"""Attempts of a task that failed for good."""

_SUBMITTED = (("task", "submitted", "pending", "rendering"), ("attempt", "submitted", "", "submitting"))
_ACCEPTED = ("attempt", "accepted", "submitting", "accepted")
_STEPS = {
    "done": (
        *_SUBMITTED,
        _ACCEPTED,
        ("attempt", "succeeded", "accepted", "succeeded"),
        ("task", "rendered", "rendering", "rendered"),
        ("attempt", "output_saved", "", ""),
        ("task", "saved", "rendered", "done"),
    ),
    "retried": (*_SUBMITTED, _ACCEPTED, ("attempt", "failed", "accepted", "failed"), ("task", "returned", "rendering", "pending")),
    "failed": (*_SUBMITTED, _ACCEPTED, ("attempt", "failed", "accepted", "failed"), ("task", "given_up", "rendering", "failed")),
    "rendering": (*_SUBMITTED, _ACCEPTED),
    "blocked": (
        *_SUBMITTED,
        ("attempt", "answer_lost", "submitting", "submitting"),
        ("attempt", "doubted", "submitting", "in_doubt"),
        ("task", "blocked", "rendering", "blocked"),
    ),
}
"""What an attempt of each fate writes into the log, in order: what moved, by which event, from, to."""

_ATTEMPT_STATES = {"done": "succeeded", "retried": "failed", "failed": "failed", "rendering": "accepted", "blocked": "in_doubt"}
_AT = "strftime('%Y-%m-%dT%H:%M:%f', 1767225600 + 0.3 * t.position, 'unixepoch') || '000Z'"
"""Three tasks a second, from the beginning of 2026."""

_TASKS = """
UPDATE tasks SET
  state = CASE WHEN position < :done THEN 'done' WHEN position < :failed THEN 'failed' WHEN position < :flying THEN 'rendering'
    WHEN position < :doubted THEN 'blocked' ELSE 'pending' END,
  attempts = CASE WHEN position < :done THEN 1 WHEN position < :failed THEN :retries WHEN position < :doubted THEN 1 ELSE 0 END,
  failures = CASE WHEN position >= :done AND position < :failed THEN :retries ELSE 0 END
"""
_ATTEMPTS = f"""
INSERT INTO attempts (task_id, run_id, number, fingerprint, client_request_id, body, state, submitted_at, accepted_at, ended_at,
  api_task_id, reserved, final, urls, price_key, day, fault_code, fault_message)
SELECT t.id, 1, n.number, t.fingerprint, request_key(t.ident, t.fingerprint, n.number),
  CAST('{{"client_request_id":"' || request_key(t.ident, t.fingerprint, n.number) || '","params":' || substr(t.spec, 10) AS BLOB),
  s.attempt, {_AT}, CASE WHEN s.fate <> 'blocked' THEN {_AT} END, CASE WHEN s.fate IN ('done', 'retried', 'failed') THEN {_AT} END,
  CASE WHEN s.fate <> 'blocked' THEN 'task-' || t.id || '-' || n.number END, CASE WHEN s.fate <> 'blocked' THEN 55 END,
  CASE s.fate WHEN 'done' THEN 55 WHEN 'retried' THEN 0 WHEN 'failed' THEN 0 END,
  '["https://cdn.example/' || t.fingerprint || '/0.mp4"]', 'kling-2-6?duration=5', substr({_AT}, 1, 10),
  CASE WHEN s.fate IN ('retried', 'failed') THEN 'render_failed' END, CASE WHEN s.fate IN ('retried', 'failed') THEN 'it broke' END
FROM tasks t CROSS JOIN numbers n
JOIN fates s ON s.fate = CASE WHEN t.state = 'failed' AND n.number < t.attempts THEN 'retried' ELSE t.state END
WHERE n.number <= t.attempts
"""  # noqa: S608 - our own words
_MONEY = """
INSERT INTO money (attempt_id, manifest_id, run_root, day, kind, credits, at)
SELECT a.id, 1, 1, a.day, k.kind, 55, a.submitted_at FROM attempts a CROSS JOIN (SELECT 'hold' AS kind UNION ALL SELECT 'capture'
  UNION ALL SELECT 'release') k
WHERE k.kind = 'hold' OR (k.kind = 'capture' AND a.state = 'succeeded') OR (k.kind = 'release' AND a.state = 'failed')
"""
_OUTPUTS = """
INSERT INTO outputs (attempt_id, run_id, nth, path, sha256, size, mime, saved_at)
SELECT a.id, 1, 0, t.output || '.mp4', t.fingerprint, 1000, 'video/mp4', a.ended_at
FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE a.state = 'succeeded'
"""
_EVENTS = """
INSERT INTO events (run_id, task_id, attempt_id, event, moved_from, moved_to, detail, at)
SELECT 1, t.id, CASE WHEN s.what = 'attempt' THEN a.id END, s.event, s.before, s.after,
  CASE WHEN s.event = 'output_saved' THEN t.output || '.mp4' ELSE '' END, a.submitted_at
FROM attempts a CROSS JOIN tasks t ON t.id = a.task_id
CROSS JOIN steps s ON s.fate = CASE WHEN t.state = 'failed' AND a.number < t.attempts THEN 'retried' ELSE t.state END
"""


@dataclass(frozen=True, slots=True)
class Fates:
    """How many tasks, from the first on, are done, failed for good, are rendering, are in doubt; the others wait."""

    done: int
    failed: int = 0
    flying: int = 0
    doubted: int = 0


def live_through(ledger: Path, fates: Fates) -> None:
    """Write what nights would have written of the only manifest of a ledger, which is called `big`. The triggers come back afterwards."""
    kept = sqlite3.connect(ledger, isolation_level=None)
    kept.create_function("request_key", 3, lambda *of: client_request_id("big", *of), deterministic=True)
    kept.execute("PRAGMA synchronous = OFF")
    kept.execute("PRAGMA cache_size = -200000")
    kept.execute("BEGIN")
    triggers = kept.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        kept.execute(f"DROP TRIGGER {name}")
    for table in ("money", "outputs", "events", "attempts"):
        kept.execute(f"DELETE FROM {table}")  # noqa: S608 - our own words
    _words(kept)
    ends = {"done": fates.done, "failed": fates.done + fates.failed}
    ends["flying"] = ends["failed"] + fates.flying
    kept.execute(_TASKS, {**ends, "doubted": ends["flying"] + fates.doubted, "retries": _RETRIES})
    for statement in (_ATTEMPTS, _MONEY, _OUTPUTS, _EVENTS):
        kept.execute(statement)
    for _, text in triggers:
        kept.execute(text)
    kept.execute("COMMIT")
    kept.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept.close()


def _words(kept: sqlite3.Connection) -> None:
    """Write the fates and their steps into tables of this connection."""
    kept.execute("CREATE TEMP TABLE numbers (number INTEGER)")
    kept.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(1, _RETRIES + 1)])
    kept.execute("CREATE TEMP TABLE fates (fate TEXT PRIMARY KEY, attempt TEXT)")
    kept.executemany("INSERT INTO fates VALUES (?, ?)", _ATTEMPT_STATES.items())
    kept.execute("CREATE TEMP TABLE steps (fate TEXT, nth INTEGER, what TEXT, event TEXT, before TEXT, after TEXT)")
    kept.execute("CREATE INDEX temp.of_fate ON steps (fate, nth)")
    rows = [(fate, nth, *step) for fate, steps in _STEPS.items() for nth, step in enumerate(steps)]
    kept.executemany("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)", rows)
