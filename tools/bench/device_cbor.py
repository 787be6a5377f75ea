"""Speed and garbage of CBOR on MicroPython, beside the interpreter's own json: one JSON line per operation.

    MICROPYPATH=lib:.frozen build/bin/micropython32 tools/bench/device_cbor.py

Runs under MicroPython, is started by the bench, and imports nothing but what it measures. TEMP and GNSS are the
messages of the same names in nRF Cloud's CDDL with ordinary floats, so that another codec can be given the same
objects: with the name of a package as its argument, its dumps and loads are measured as well ("cbor2"). "decimal" is
GNSS as the firmware sends it. Fields of a line: op, message, bytes (on the wire), ops_s, heap (bytes allocated by one
operation) and json, the speed as a multiple of json.dumps or json.loads of the same message in the same run. Times are
the best of many short rounds taken in turn, since a machine that is busy elsewhere only ever makes them longer.
"""

import gc
import json
import sys
import time

_ROUNDS = 120
_ROUND_US = 1000  # short: the allocator slows down as garbage piles up, and a board has room for little
_TS = 1631470795000
_TEMP = {1: "TEMP", 2: 23.5, 3: _TS}
_GNSS = {1: "GNSS", 2: {4: 45.524098, 5: -122.688408, 6: 15.0, 7: 1.0}, 3: _TS}


def _calls(count, function, *args):
    """Microseconds that `count` calls take."""
    started = time.ticks_us()
    for _ in range(count):
        function(*args)
    return time.ticks_diff(time.ticks_us(), started)


def _count(function, *args):
    """How many calls fill a round."""
    count = 8
    while _calls(count, function, *args) < _ROUND_US // 2:
        count *= 2
    return count


def _heap(function, *args):
    """Bytes that one call allocates, its result included."""
    function(*args)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for _ in range(8):
        function(*args)
    used = gc.mem_alloc() - before
    gc.enable()
    return used // 8


def _codecs():
    import cbor

    found = [("cbor", cbor)]
    for name in sys.argv[1:]:
        found.append((name, __import__(name)))
    return cbor, found


def _decimal(cbor):
    """GNSS with its floats as integers, ordered, which is what lib/cloud/nrfcloud makes of a fix."""
    degrees = ((4, 45524098, -6), (5, -122688408, -6), (6, 15000, -3), (7, 1000, -3))
    pvt = cbor.Map([(key, cbor.Decimal(n, exponent)) for key, n, exponent in degrees])
    return cbor.Map([(1, "GNSS"), (2, pvt), (3, _TS)])


def _operations():
    """-> [(op, message, size, function, args)]; json's own come first of each message."""
    cbor, codecs = _codecs()
    buf = bytearray(128)
    made = []
    for message, value in (("TEMP", _TEMP), ("GNSS", _GNSS)):
        text = json.dumps(value)
        made.append(("json.dumps", message, len(text), json.dumps, (value,)))
        made.append(("json.loads", message, len(text), json.loads, (text,)))
        for name, codec in codecs:
            raw = codec.dumps(value)
            made.append((name + ".dumps", message, len(raw), codec.dumps, (value,)))
            made.append((name + ".loads", message, len(raw), codec.loads, (raw,)))
        made.append(("cbor.dump_into", message, len(cbor.dumps(value)), cbor.dump_into, (value, buf)))
    value = _decimal(cbor)
    raw = cbor.dumps(value)
    made.append(("cbor.dumps", "decimal", len(raw), cbor.dumps, (value,)))
    made.append(("cbor.dump_into", "decimal", len(raw), cbor.dump_into, (value, buf)))
    made.append(("cbor.loads scaled", "decimal", len(raw), lambda: cbor.loads(raw, cbor.scaled(7)), ()))
    return made


def main():
    operations = _operations()
    counts = [_count(function, *args) for _, _, _, function, args in operations]
    best = [1 << 30] * len(operations)
    for _ in range(_ROUNDS):
        for i, (_, _, _, function, args) in enumerate(operations):
            gc.collect()
            best[i] = min(best[i], _calls(counts[i], function, *args))
    of_json = {}
    for i, (op, message, size, function, args) in enumerate(operations):
        speed = counts[i] * 1000000 / best[i]
        if op.startswith("json"):
            of_json[op[4:], message] = speed
        way = ".loads" if "loads" in op else ".dumps"
        line = {
            "op": op,
            "message": message,
            "bytes": size,
            "ops_s": int(speed),
            "heap": _heap(function, *args),
            "json": speed / of_json[way, "GNSS" if message == "decimal" else message],
        }
        print(json.dumps(line))


main()
