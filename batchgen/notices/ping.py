"""A dead man's switch, in the manner of healthchecks.io: it raises the alarm when a night's run does not report.

    URL/start   a run has begun
    URL         it did what it was asked, or stopped as it was asked to
    URL/fail    it did not

https only, but for a server on this machine; redirects are not followed.
"""

from __future__ import annotations

import logging
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

from batchgen.core.announce import Occasion

LOG = logging.getLogger("batchgen.notices")

PATIENCE = 10.0
"""Seconds; the same as the `curl -m 10` of healthchecks.io's own examples."""

TRIES = 3

_PATHS = {Occasion.START: "/start", Occasion.SUCCESS: "", Occasion.BUDGET: ""}


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: object) -> None:
        """Refuse: urllib then takes the answer for the error that it is."""


def ping(url: str, occasion: Occasion) -> None:
    """Report. Blocking for half a minute at most. Never raises: what went wrong is logged, without the address."""
    parts = urlsplit(url)
    place = parts._replace(path=parts.path.rstrip("/") + _PATHS.get(occasion, "/fail")).geturl()
    opener = urllib.request.build_opener(_Stay)
    for left in reversed(range(TRIES)):
        try:
            with opener.open(place, timeout=PATIENCE):
                return
        except (OSError, HTTPException, ValueError) as error:
            if not left:
                LOG.warning("the ping of %r did not arrive: %s", str(occasion), type(error).__name__)
