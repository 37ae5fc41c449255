"""Reads files ahead: while one row is checked, threads look at the files of the next ones.

What they read is kept where the check looks for it (`references`), so that nothing depends on them but time: of a file that they
could not read, or did not get to, the check finds out by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Self, TypeAlias, TypeVar

from batchgen.manifest.problems import Refused

READERS = 8
"""Files that are read at once. Hashing needs a core each; on a network share it is the waiting that is shared out."""

BURST = 64
"""Rows, or entries, that are looked at ahead of the one that is checked."""

T = TypeVar("T")

Look: TypeAlias = "tuple[str, Callable[[], object]]"
"""The absolute path of a file, and what reads it and keeps what it found."""


class Readers:
    """Threads that read files. One thread says what is coming and waits for it."""

    def __init__(self) -> None:
        """Start none: most manifests have nothing to read ahead."""
        self._queue: SimpleQueue[Sequence[Look]] = SimpleQueue()
        self._coming: set[str] = set()
        self._seen = Condition()
        self._threads: list[Thread] = []
        self._over = False

    def __enter__(self) -> Self:
        """Return the readers."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the threads go. They are not waited for: each ends after the file that it is reading."""
        self._over = True
        for _thread in self._threads:
            self._queue.put(())

    def expect(self, looks: Iterable[Look]) -> None:
        """Have files read. The same file is read once, however often it is named."""
        new = {path: look for path, look in looks if path not in self._coming}
        if not new:
            return
        with self._seen:
            self._coming.update(new)
        coming = list(new.items())
        shares = min(READERS, len(coming))
        for nth in range(shares):  # several files each: waking a thread costs more than a small file does
            self._queue.put(coming[nth::shares])
            if len(self._threads) < READERS:
                thread = Thread(target=self._read, name="reader", daemon=True)  # Ctrl-C does not wait for a film
                thread.start()
                self._threads.append(thread)

    def wait(self, path: str) -> None:
        """Return when nobody is reading a file, or is about to."""
        if path in self._coming:
            with self._seen:
                self._seen.wait_for(lambda: path not in self._coming)

    def _read(self) -> None:
        while looks := self._queue.get():
            for path, look in looks:
                with suppress(Exception):  # the check meets it again, and has the words for it
                    if not self._over:
                        look()
                with self._seen:
                    self._coming.discard(path)
                    self._seen.notify()


def ahead(items: Iterable[T], expect: Callable[[Sequence[T]], object], heavy: Callable[[T], bool] = lambda _: False) -> Iterator[T]:
    """Yield the items, some later than they came, each after `expect` was told of it and of some that follow.

    Args:
        items: what is gone through. If it raises Refused, so does this, after everything that came before.
        expect: is told of the items a burst at a time.
        heavy: whether an item is so large that no other is kept beside it.
    """
    held: list[T] = []
    bursts = _bursts(items, heavy)
    while True:
        try:
            burst = next(bursts, None)
        except Refused:
            yield from held
            raise
        if burst is None:
            break
        expect(burst)
        yield from held
        held = burst
        if heavy(burst[-1]):
            yield from held
            held = []
    yield from held


def _bursts(items: Iterable[T], heavy: Callable[[T], bool]) -> Iterator[list[T]]:
    """Yield the items in bursts that end with a heavy one."""
    burst: list[T] = []
    try:
        for item in items:
            burst.append(item)
            if len(burst) == BURST or heavy(item):
                yield burst
                burst = []
    except Refused:
        if burst:
            yield burst
        raise
    if burst:
        yield burst
