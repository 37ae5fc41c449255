"""The README's picture of a run shows what a run shows."""

from __future__ import annotations

import html
import re

from tests import make_picture

LABEL = re.compile(r"(tasks|rate|credits|budgets|ends)\b")


def test_the_picture_has_what_a_run_shows() -> None:
    """The committed picture has each label that a run's view has today; `python tests/make_picture.py` draws it anew."""
    lines = make_picture.shoot("references.yaml", share=0.5)
    today = {found[0] for line in lines if (found := LABEL.match("".join(text for text, _ in line).strip()))}
    picture = html.unescape(make_picture.PICTURE.read_text(encoding="utf-8")).replace("\xa0", " ")
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    drawn = {found[0] for text in texts if (found := LABEL.match(text.strip()))}

    assert {"tasks", "rate", "credits"} <= today <= drawn
    assert any(re.search(r"\d+ of 300 done", text) for text in texts)


def test_the_readme_shows_the_picture() -> None:
    """The picture stands in the README, by a path that a checkout and a web page both find."""
    readme = (make_picture.ROOT / "README.md").read_text(encoding="utf-8")

    assert f"]({make_picture.PICTURE.relative_to(make_picture.ROOT)})" in readme
