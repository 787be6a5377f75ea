"""Which lines of a day are shown and what becomes of the others: counted, and told in a sentence now and then.

A line with a rule (words.py) is shown as often as its rule says; any other one twice per kind, four times when it is a
warning or an error. The kind of a line is its text without the numbers. Pure: used by timeline.py.
"""

from __future__ import annotations

import re

from . import words
from .words import Rule

_SHOWN = 2  # lines of a kind shown before folding starts
_SHOWN_LOUD = 4  # the same for warnings and errors
_FOLD_KINDS = 2  # unknown kinds named in one sentence
_FOLD_TEXT = 40
_NEWS_BOOTS = 5  # a node that does nothing but restart is not told in full for ever
_VARIABLE = re.compile(words.UUID.pattern + r"|0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|[-+]?\d+(?:\.\d+)?")


class Folder:
    """Decides which lines are shown and counts the rest: by the name of their rule, else by their text."""

    def __init__(self):
        self._seen: dict[object, int] = {}
        self._renewed: set[object] = set()  # kinds that are news again after a boot
        self._boots = 0
        self._tallies: dict[str, int] = {}
        self._folded: dict[tuple, list] = {}

    def boot(self) -> None:
        """The node starts: getting up is news again (unless it does nothing else)."""
        self._boots += 1
        if self._boots <= _NEWS_BOOTS:
            for kind in self._renewed:
                self._seen.pop(kind, None)

    def offer(self, who: str, layer: str, level: str, text: str, rule: Rule | None = None) -> bool:
        """True when the line is to be shown now."""
        if rule is not None:
            if rule.tally:
                self._tallies[rule.tally] = self._tallies.get(rule.tally, 0) + 1
            name = (rule.name, _VARIABLE.sub("#", text)) if rule.by_text else rule.name
            if rule.per_boot:
                self._renewed.add(name)
            return self._count(name) <= rule.limit
        kind = (who, layer, level, _VARIABLE.sub("#", text))
        if self._count(kind) <= (_SHOWN_LOUD if level in "WE" else _SHOWN):
            return True
        entry = self._folded.setdefault(kind, [0, level, who, text])
        entry[0] += 1
        entry[3] = text
        return False

    def take(self) -> str | None:
        """One sentence about everything since the last call, or None; trouble comes first."""
        entries = sorted(self._folded.values(), key=lambda entry: ("EWI".find(entry[1]), -entry[0]))
        routine = words.sentence(self._tallies)
        self._folded, self._tallies = {}, {}
        named = [f"{count} x {who}: {shorten(text, _FOLD_TEXT)}" for count, _, who, text in entries[:_FOLD_KINDS]]
        rest = sum(entry[0] for entry in entries[_FOLD_KINDS:])
        parts = [*named, routine, f"{rest} more lines" if rest else ""]
        return "; ".join(part for part in parts if part) or None

    def _count(self, kind) -> int:
        count = self._seen[kind] = self._seen.get(kind, 0) + 1
        return count


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
