"""GPRS timers of TS 24.008 as bit strings: T3412ext (TAU), T3324 (active time), eDRX (modems.md 2A.9, 8.5).

Pure. Called by modem drivers' power_save and by the parsers of what the network granted. RAM: none.
"""

# Units in s by the three high bits.
_TAU = (600, 3600, 36000, 2, 30, 60, 1152000)
_ACTIVE = (2, 60, 360)
# eDRX cycles in units of 5.12 s by code.
_NO_NB_EDRX = (0, 1, 4, 6, 7, 8)  # codes that LTE-M alone has
_EDRX = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 64, 128, 256, 512, 1024, 2048)


def _bits(value, width):
    return "".join(["1" if value >> i & 1 else "0" for i in range(width - 1, -1, -1)])


def _encode(seconds, units):
    """The largest unit that fits exactly, else the smallest that holds it rounded up; None is `off`."""
    if seconds is None:
        return _bits(7 << 5, 8)
    best = None
    for code, unit in enumerate(units):
        count = -(-seconds // unit)
        if count > 31:
            continue
        excess = count * unit - seconds
        key = (excess, count)
        if best is None or key < best[0]:
            best = (key, code << 5 | count)
    if best is None:
        raise ValueError("timer too long")
    return _bits(best[1], 8)


def encode_tau(seconds):
    """Periodic TAU in s (None: deactivated) -> 8 bits as text; rounded up when it cannot be said exactly."""
    return _encode(seconds, _TAU)


def encode_active(seconds):
    """Active time in s (None: deactivated) -> 8 bits as text."""
    return _encode(seconds, _ACTIVE)


def _decode(bits, units):
    value = int(bits, 2)
    unit = value >> 5
    return units[unit] * (value & 31) if unit < len(units) else None


def decode_tau(bits):
    """8 bits as text -> s, or None when deactivated. ValueError when it is not a bit string."""
    return _decode(bits, _TAU)


def decode_active(bits):
    """8 bits as text -> s, or None when deactivated."""
    return _decode(bits, _ACTIVE)


def encode_edrx(seconds, nbiot=False):
    """eDRX cycle -> 4 bits as text: the longest cycle that is not longer than `seconds` (the shortest: 5.12 s, and of
    NB-IoT, which has fewer, 20.48 s)."""
    code = 2 if nbiot else 0
    for i, units in enumerate(_EDRX):
        if units * 512 <= seconds * 100 + 50 and not (nbiot and i in _NO_NB_EDRX):
            code = i
    return _bits(code, 4)
