"""lib/gnss/agnss_nrf91 against C structures that this machine's ABI lays out: modems.md 3.4, natural alignment.

The fields are declared here in the order and with the types of the facts; where they are, and how long the whole is,
says ctypes. Its 32-bit and smaller integers are aligned as on the modem's Cortex-M33.
"""

import ctypes
import struct
from ctypes import c_int8, c_int16, c_int32, c_uint8, c_uint16, c_uint32

import pytest
from gnss_support import ask, seeded

_TYPES = {"b": c_int8, "B": c_uint8, "h": c_int16, "H": c_uint16, "i": c_int32, "I": c_uint32}


def structure(name, fields):
    """A C structure of "type:name" words."""
    pairs = [word.split(":") for word in fields.split()]
    return type(name, (ctypes.Structure,), {"_fields_": [(field, _TYPES[code]) for code, field in pairs]})


UTC = structure("Utc", "i:a1 i:a0 B:tot B:wn_t b:dt_ls B:wn_lsf b:dn b:dt_lsf")
EPHEMERIS = structure(
    "Ephemeris",
    "B:sv_id B:health H:iodc H:toc b:af2 h:af1 i:af0 b:tgd B:ura B:fit_int H:toe i:w h:delta_n i:m0 i:omega_dot I:e "
    "h:idot I:sqrt_a i:i0 i:omega0 h:crs h:cis h:cus h:crc h:cic h:cuc",
)
ALMANAC = structure(
    "Almanac",
    "B:sv_id B:wn B:toa B:ioda H:e h:delta_i h:omega_dot B:health I:sqrt_a i:omega0 i:w i:m0 h:af0 h:af1",
)
KLOBUCHAR = structure("Klobuchar", " ".join(f"b:{letter}{i}" for letter in "ab" for i in range(4)))
NEQUICK = structure("NeQuick", "h:ai0 h:ai1 h:ai2 B:storm_cond B:storm_valid")
LOCATION = structure("Location", "i:lat i:lon h:alt B:unc_maj B:unc_min B:orient B:unc_alt B:confidence")
INTEGRITY = structure("Integrity", "I:mask")
TOW = structure("Tow", "H:tlm B:flags")


class Clock(ctypes.Structure):
    _fields_ = [
        ("date_day", c_uint16), ("time_full_s", c_uint32), ("time_frac_ms", c_uint16), ("sv_mask", c_uint32),
        ("tow", TOW * 32),
    ]  # fmt: skip


# Type of nRF Cloud -> (type of the modem, structure, bytes of it in the facts)
KINDS = {
    1: (1, UTC, 16), 2: (2, EPHEMERIS, 72), 12: (2, EPHEMERIS, 72), 3: (3, ALMANAC, 32), 11: (3, ALMANAC, 32),
    4: (4, KLOBUCHAR, 8), 5: (5, NEQUICK, 8), 8: (7, LOCATION, 16), 9: (8, INTEGRITY, 4),
}  # fmt: skip


def packed(kind):
    """The element of nrfcloud.md 9.2: the same fields in the same order, without any padding."""
    codes = {of: code for code, of in _TYPES.items()}
    return "<" + "".join(codes[form] for _, form in KINDS[kind][1]._fields_)


@pytest.mark.parametrize("interpreter", ("mp32", "mpf"))
def test_structures_are_those_of_a_c_compiler(interpreter):
    rng = seeded(81)
    items, wanted = [], []
    for _ in range(60):
        for kind, (modem, of, size) in KINDS.items():
            raw = rng.randbytes(struct.calcsize(packed(kind)))
            made = bytes(of(*struct.unpack(packed(kind), raw)))
            assert len(made) == size
            items.append([kind, raw.hex()])
            wanted.append([modem, made.hex()])
    (answer,) = ask(interpreter, [["nrf91", items]])
    assert answer == wanted


@pytest.mark.parametrize("interpreter", ("mp32", "mpf"))
def test_clock_with_the_words_of_its_satellites(interpreter):
    rng = seeded(82)
    questions, wanted = [], []
    for _ in range(60):
        clock = Clock(rng.randrange(65536), rng.randrange(86400), rng.randrange(1000), rng.getrandbits(32))
        elements = []
        for sv in rng.sample(range(1, 33), rng.randrange(33)):
            tlm, flags = rng.choice((0, rng.randrange(65536))), rng.choice((0, rng.randrange(4)))
            elements.append([6, struct.pack("<BHB", sv, tlm, flags).hex()])
            clock.tow[sv - 1] = TOW(tlm, flags)
        head = struct.pack("<HIHI", clock.date_day, clock.time_full_s, clock.time_frac_ms, clock.sv_mask)
        questions.append(["nrf91", [*elements, [7, (head + rng.randbytes(4)).hex()]]])
        for i in range(32):
            clock.sv_mask |= (clock.tow[i].tlm or clock.tow[i].flags) and 1 << i
        assert ctypes.sizeof(clock) == 144
        wanted.append([None] * len(elements) + [[6, bytes(clock).hex()]])
    assert ask(interpreter, questions) == wanted
