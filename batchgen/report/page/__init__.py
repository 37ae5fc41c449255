"""The morning report: one HTML page with every render, that opens from disk without a network.

    night    the attempts and credits of a night, binned
    charts   series to the coordinates of an SVG, each with its words
    cards    tasks to lines of JSON
    posters  still pictures inside the page (PyAV, the extra `media`)
    write    all of it through Jinja2 into a stream

The page holds its data as JSON in a block that no browser executes; its script makes every element and sets every text as text.
A prompt may come from anybody and a message from any server, so nothing of them is ever HTML: that is one rule with three locks
(autoescape, `textContent`, a Content-Security-Policy with the hashes of the one script and the one style).

Deliberately absent: a framework, a build step, anything loaded from elsewhere.
"""

from batchgen.report.page.charts import Limits
from batchgen.report.page.links import folder_link
from batchgen.report.page.write import Asked, write_page

__all__ = ["Asked", "Limits", "folder_link", "write_page"]
