"""Pretend manifests that can be edited. What a task asks for is named in its prompt, so that the world's books can be compared with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from batchgen.core.model import Credits, Manifest, MediaKind, Reference, Spec, Task
from batchgen.core.policy import Quote, Quoter
from batchgen.core.pricing import price_key
from tests.simulation.world import BAD

CATALOGUE: Mapping[str, Credits] = {
    price_key("kling-2-6", {"duration": "5"}): 10,
    price_key("kling-2-6", {"duration": "10"}): 20,
    price_key("z-image", {"duration": "5"}): 1,
    price_key("z-image", {"duration": "10"}): 3,
}
MODELS = ("kling-2-6", "kling-2-6", "z-image")


def picture(number: int) -> Reference:
    """Return reference number N: a local file, or, every third one, a public URL."""
    name = f"picture-{number}.png"
    if number % 3 == 2:
        return Reference(MediaKind.IMAGE, "image/png", name, url=f"https://pictures.example/{name}")
    return Reference(MediaKind.IMAGE, "image/png", name, sha256=hashlib.sha256(name.encode()).hexdigest(), path=f"/{name}", size=1000)


def quoter(*, stated: bool) -> Quoter:
    """Return the catalogue as the engine asks it; `stated`: as prices that the settings state."""

    def quote(spec: Spec) -> Quote:
        key = price_key(spec.model, spec.params)
        return Quote(key, CATALOGUE[key], stated)

    return quote


@dataclass(frozen=True, slots=True)
class Line:
    """One task as it is written now; each edit raises `revision`."""

    id: str
    model: str
    duration: str
    references: tuple[int, ...] = ()
    revision: int = 0
    bad: bool = False

    def task(self, manifest: str, position: int) -> Task:
        """Return it as the manifest's loader would."""
        prompt = f"{manifest}/{self.id} r{self.revision}{' ' + BAD if self.bad else ''}"
        spec = Spec(self.model, prompt, {"duration": self.duration}, tuple(picture(n) for n in self.references))
        return Task(manifest, self.id, spec, f"{manifest}/{self.id}", position, position + 1)


@dataclass(frozen=True, slots=True)
class Edition:
    """A manifest at one moment, with the two members of `LoadedManifest` that a run uses."""

    header: Manifest
    lines: tuple[Line, ...]

    def tasks(self) -> Iterator[Task]:
        """Yield the tasks in their order."""
        return (line.task(self.header.name, position) for position, line in enumerate(self.lines))


@dataclass(slots=True)
class Manuscript:
    """A manifest that somebody works on."""

    header: Manifest
    lines: list[Line]
    _written: int = field(default=0)

    def edition(self) -> Edition:
        """Return it as it is now."""
        return Edition(self.header, tuple(self.lines))

    def write_line(self, rng: Random, references: int) -> Line:
        """Return a new task."""
        self._written += 1
        chosen = tuple(sorted(rng.sample(range(references), rng.randint(0, references)))) if references else ()
        return Line(f"t{self._written}", rng.choice(MODELS), rng.choice(("5", "5", "10")), chosen, bad=rng.random() < 0.04)

    def edit(self, rng: Random, references: int) -> None:
        """Insert, delete, change or move a task."""
        lines = self.lines
        place = rng.randrange(len(lines)) if lines else 0
        match rng.choice(("insert", "delete", "change", "change", "shuffle")):
            case "insert":
                lines.insert(place, self.write_line(rng, references))
            case "delete" if len(lines) > 1:
                del lines[place]
            case "change" if lines:
                new = self.write_line(rng, references)
                lines[place] = replace(new, id=lines[place].id, revision=lines[place].revision + 1)
            case _:
                rng.shuffle(lines)
