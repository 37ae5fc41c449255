"""A terminal of so many columns and rows, as far as the live view uses one: what a person would see."""

from __future__ import annotations

import re

_PIECE = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[[\d;]*m|(\r\n|[\r\n])|([^\x1b\r\n]+)")


class Glass:
    """Feed it what was written; look at `lines`. It wraps long lines, so that one that is too long is seen."""

    def __init__(self, columns: int, rows: int = 24) -> None:
        self.columns = columns
        self.rows = rows
        self.screen = [""]
        self.gone: list[str] = []  # scrolled out at the top
        self.row = 0
        self.column = 0

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without the blank end."""
        return "\n".join(self.screen).rstrip("\n").split("\n")

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        for match in _PIECE.finditer(text):
            count, order, move, letters = match.groups()
            if letters:
                self._write(letters)
            elif move:
                self._move(move)
            elif order:
                self._obey(order, int(count or 0))

    def _move(self, move: str) -> None:
        self.column = 0
        if "\n" in move:
            self.row += 1
            if self.row == len(self.screen):
                self.screen.append("")
            if len(self.screen) > self.rows:
                self.gone.append(self.screen.pop(0))
                self.row -= 1

    def _write(self, letters: str) -> None:
        for letter in letters:
            if self.column == self.columns:
                self._move("\r\n")
            line = self.screen[self.row].ljust(self.column)
            self.screen[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1

    def _obey(self, order: str, count: int) -> None:
        if order == "A":
            self.row = max(0, self.row - max(1, count))
        elif order == "K":
            self.screen[self.row] = self.screen[self.row][: self.column]
        elif order == "J" and count == 0:
            self.screen[self.row :] = [self.screen[self.row][: self.column]]
        elif order == "J":
            self.screen = [""] * (self.row + 1)
        elif order == "H":
            self.row = self.column = 0
        elif order != "m":
            raise AssertionError(f"the live view writes ESC[{count}{order}, which not every terminal knows")
