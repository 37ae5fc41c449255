"""Messages through Apprise: one address for each of a hundred services. The extra `notify` brings it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from batchgen.core.announce import Occasion
from batchgen.notices.words import Notice

LOG = logging.getLogger("batchgen.notices")

_KINDS = {Occasion.SUCCESS: "success", Occasion.FAILURE: "failure", Occasion.BUDGET: "warning", Occasion.IN_DOUBT: "warning"}


def send(urls: Sequence[str], notice: Notice) -> None:
    """Send a message to every address. Blocking. Never raises: what went wrong is logged, without the addresses."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses, and they hold tokens
    try:
        # Imported here because it is an extra, and slow to import; only runs that have something to tell need it.
        import apprise  # noqa: PLC0415
    except ImportError:
        LOG.warning("nobody was told of %r: `notify` needs Apprise: pip install 'batchgen[notify]'", notice.title)
        return
    for number, url in enumerate(urls, 1):
        service = apprise.Apprise()
        try:
            told = service.add(url) and service.notify(
                title=notice.title, body=notice.body, notify_type=_KINDS.get(notice.occasion, "info"), body_format="text"
            )
        except Exception as error:  # noqa: BLE001 - a hundred plug-ins of others, each with errors of its own; the run must not care
            told = False
            LOG.debug("%s", type(error).__name__)
        if not told:
            LOG.warning("notify address %d of %d could not be reached; nobody was told there of %r", number, len(urls), notice.title)
