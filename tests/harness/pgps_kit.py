"""Prediction files as nrfcloud.md 10 has them, made by struct, and a proxy that serves one: for the tests of P-GPS.

Shares nothing with lib/gnss. RAM: a file of n predictions is 16 + 2006 n bytes.
"""

import struct

PERIOD = 14400
DAY = 15131  # of the vectors in nrfcloud.md 5.4, 10
START = DAY * 86400
EMPTY = (4, 23)  # satellites without data
EPHEMERIS = "<BBHHbhibBBHihiiIhIiihhhhhh"


def record(prn, epoch, health=0):
    if prn in EMPTY:
        return bytes((prn,)) + bytes(61)
    toe = epoch % 604800 // 16
    return struct.pack(EPHEMERIS, prn, health, prn, toe, -1, 2, -3, 4, 5, 0, toe, *[prn * 1000 + i for i in range(4)],
                       prn, 6, 2700000000, 7, 8, *(9, 10, 11, 12, 13, 14))  # fmt: skip


def prediction(epoch):
    head = b"\x07\x01\x00" + struct.pack("<HIHII", epoch // 86400, epoch % 86400, 0, 0, 0)
    return head + b"\x02\x20\x00" + b"".join([record(prn, epoch) for prn in range(1, 33)])


def header(start=START, count=42, **changes):
    values = {"schema": 1, "type": 10, "items": 1, "size": 2006, "period": 240}
    values.update(changes)
    return struct.pack(
        "<BBHHHHhi", values["schema"], values["type"], values["items"], count, values["size"], values["period"],
        values.get("day", start // 86400), values.get("time", start % 86400),
    )  # fmt: skip


def epochs(count, start=START):
    # Not range(start, ...): MicroPython's counts in small ints, which on 32 bits end before these numbers.
    return [start + i * PERIOD for i in range(count)]


def file_of(start=START, count=3):
    return header(start, count) + b"".join([prediction(epoch) for epoch in epochs(count, start)])


class Dead(Exception):
    """The link is gone."""


class Source:
    """The file behind the proxy; `fail_at`: bytes after which the link dies; `chunk`: most bytes a read gives."""

    def __init__(self, data, fail_at=None, chunk=100000):
        self.data = data
        self.fail_at = fail_at
        self.chunk = chunk
        self.reads = []

    async def read(self, offset, view):
        self.reads.append(offset)
        piece = self.data[offset : offset + min(len(view), self.chunk)]
        if self.fail_at is not None and offset + len(piece) > self.fail_at:
            raise Dead
        view[: len(piece)] = piece
        return len(piece)
