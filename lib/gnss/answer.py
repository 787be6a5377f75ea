"""An A-GNSS answer of nRF Cloud (schema 1) as the elements in it, type by type, in any order (nrfcloud.md 9.1).

A receiver wants the time first, wherever the cloud put it. Pure. RAM: one element (62 bytes), a short list of sections.
"""

from gnss.walk import SIZES


class Answer:
    """`blob`: the answer as bytes-like, or the list of its chunks, which are not copied. ValueError: no schema 1, or
    cut off. What follows a type that nobody knows is left out: its size is unknown."""

    def __init__(self, blob):
        self._chunks = [memoryview(chunk) for chunk in (blob if isinstance(blob, (list, tuple)) else (blob,))]
        self._element = memoryview(bytearray(62))
        self._sections = self._find()

    def each(self, kind):
        """Generator of the elements of type `kind`, each a memoryview valid until the next one."""
        size = SIZES[kind]
        for found, count, at in self._sections:
            if found == kind:
                for _ in range(count):
                    self._copy(at, self._element, size)
                    yield self._element[:size]
                    at += size

    def _find(self):
        """-> [(element type, count, where its elements begin)]."""
        size = sum([len(chunk) for chunk in self._chunks])
        head = self._element[:3]
        self._copy(0, head, 1)
        if not size or head[0] != 1:
            raise ValueError("not schema 1")
        found = []
        at = 1
        while at < size:
            if at + 3 > size:
                raise ValueError("cut off")
            self._copy(at, head, 3)
            kind = head[0]
            if kind >= len(SIZES) or not SIZES[kind]:
                break
            count = head[1] | head[2] << 8
            found.append((kind, count, at + 3))
            at += 3 + count * SIZES[kind]
        if at > size:
            raise ValueError("cut off")
        return found

    def _copy(self, at, into, n):
        """`n` bytes from `at` on, counted over all chunks."""
        done = 0
        for chunk in self._chunks:
            if at < len(chunk) and done < n:
                take = min(n - done, len(chunk) - at)
                into[done : done + take] = chunk[at : at + take]
                done += take
                at = 0
            elif at >= len(chunk):
                at -= len(chunk)
