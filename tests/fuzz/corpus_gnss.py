"""The corpora of the GNSS campaigns: NMEA by pynmea2, UBX by pyubx2, assistance by the twin's generator."""

import pynmea2
from pyubx2 import GET, SET, UBXMessage

from godwit.twin.agnss import Request, build

_NOW = 1767323045
_PLACE = ("6010.20072", "N", "02456.40204", "E")
_CLOCK = "030405.00"


def nmea():
    """Epochs of some receivers, whole and void."""
    rmc = pynmea2.RMC("GN", "RMC", (_CLOCK, "A", *_PLACE, "2.916", "123.46", "020126", "", "", "A", "V"))
    gga = pynmea2.GGA("GN", "GGA", (_CLOCK, *_PLACE, "1", "09", "0.92", "8.0", "M", "17.5", "M", "", ""))
    gsa = pynmea2.GSA("GN", "GSA", ("A", "3", *("05", "07", "09"), *[""] * 9, "1.64", "0.92", "1.36", "1"))
    gll = pynmea2.GLL("GP", "GLL", (*_PLACE, _CLOCK, "A", "A"))
    gsv = pynmea2.GSV("GL", "GSV", ("1", "1", "02", "65", "61", "288", "42", "66", "29", "197", ""))
    void = pynmea2.RMC("GN", "RMC", ("", "V", *[""] * 9, "N"))
    dark = pynmea2.GGA("GN", "GGA", ("",) * 5 + ("0",) + ("",) * 8)
    found = [[rmc], [gga], [gsa], [gll], [gsv], [void, dark], [rmc, gga], [gga, gsa, gsv, rmc], [gll, rmc, gsa, gga]]
    return ["".join(f"{message}\r\n" for message in messages).encode() for messages in found]


def ubx():
    """Answers of a receiver, alone and one after the other with NMEA between."""
    pvt = UBXMessage("NAV", "NAV-PVT", GET, year=2026, month=1, day=2, hour=3, min=4, second=5, validDate=1,
                     validTime=1, fixType=3, gnssFixOk=1, lat=60.17, lon=24.94, height=25500, hAcc=3200,
                     headMot=123.0)  # fmt: skip
    rows = {}
    for i in range(1, 9):
        rows |= {f"gnssId_{i:02d}": i % 2 * 5, f"svId_{i:02d}": i, f"ephUsability_{i:02d}": i}
    orbits = UBXMessage("NAV", "NAV-ORB", GET, version=1, numSv=8, **rows)
    mga = UBXMessage("MGA", "MGA-ACK-DATA0", GET, type=1, msgId=6)
    ack = UBXMessage("ACK", "ACK-ACK", GET, clsID=6, msgID=0x23)
    iono = UBXMessage("MGA", "MGA-GPS-IONO", SET, type=6)
    found = [message.serialize() for message in (pvt, orbits, mga, ack, iono)]
    return [*found, b"".join(found), found[3] + nmea()[0] + found[2]]


def agnss():
    """Answers: each type alone, some together, everything; a report in JSON."""
    place = (60.17, 24.94, 3000)
    requests = [(kind,) for kind in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13)] + [(1, 4, 6, 7, 8, 9), (7, 8, 11, 12, 13)]
    found = [build(Request(list(types), _NOW, place)) for types in requests]
    found.append(build(Request([7, 8, 2, 3], _NOW, place, filtered=True)))
    return [*found, b'{"appId":"AGNSS","messageType":"DATA","err":98}']
