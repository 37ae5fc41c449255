"""Telling people and machines about a run: messages through Apprise, a dead man's switch, and a file for Prometheus.

Three rules:

1. Nothing here changes a run. Every failure becomes one line in the log, and the run goes on.
2. Nothing here is waited for. A thread of its own does it; the end of a run grants it some seconds.
3. Addresses hold tokens. They are never logged, printed or put into a message; neither are prompts.
"""

from batchgen.notices.herald import Herald

__all__ = ["Herald"]
