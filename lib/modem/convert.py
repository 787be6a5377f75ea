"""Conversions that several families need: signal indices, PLMN, calendar, decimal text, reject causes.

Pure (modems.md 2A.4, 5.2). Imported by the parsers of modem drivers, and by modem.base when a cause is to be named.
RAM: the cause table.
"""

# EMM causes after which trying again soon is useless, and why (TS 24.301, modems.md 5.2).
CAUSES = {
    2: "IMSI unknown",
    3: "illegal UE",
    6: "illegal ME",
    7: "EPS services not allowed",
    8: "EPS services not allowed",
    11: "PLMN not allowed",
    12: "tracking area not allowed",
    13: "roaming not allowed here",
    14: "EPS services not allowed in this PLMN",
    15: "no suitable cells",
    17: "network failure",
    19: "ESM failure, check the APN",
    22: "congestion",
}


def rsrp_dbm(index):
    """RSRP index of TS 36.133 (-17..97, 255 or None unknown) -> dBm or None."""
    if index is None or not -17 <= index <= 97:
        return None
    return index - 141 if index > 0 else index - 140


def rsrq_db(index):
    """RSRQ index of TS 36.133 (-30..46, 255 or None unknown) -> dB in halves (int when whole) or None."""
    if index is None or not -30 <= index <= 46:
        return None
    if index < 0:
        halves = index - 39
    elif index < 35:
        halves = index - 40
    else:
        halves = index - 41
    return halves / 2 if halves & 1 else halves // 2


def snr_db(index):
    """SNR index of %XMONITOR (127 unknown) -> dB or None."""
    return None if index is None or index == 127 else index - 24


def cell_record(mcc, mnc, tac, eci, earfcn, pci, rsrp, rsrq, snr=None, ta=None, rat=None):
    """-> the cell record of modem.base; None when the cell is not identified (no mcc, mnc or eci)."""
    if mcc is None or mnc is None or eci is None:
        return None
    return {
        "mcc": mcc,
        "mnc": mnc,
        "tac": tac,
        "eci": eci,
        "rat": rat,
        "earfcn": earfcn,
        "pci": pci,
        "rsrp_dbm": rsrp,
        "rsrq_db": rsrq,
        "snr_db": snr,
        "ta": ta,
        "neighbours": [],
    }


def neighbour(earfcn, pci, rsrp, rsrq, diff=None):
    """-> a neighbour's record."""
    return {"earfcn": earfcn, "pci": pci, "rsrp_dbm": rsrp, "rsrq_db": rsrq, "time_diff": diff}


def quotable(text, longest=128):
    """-> `text`, which may stand between quotes in a command. Raises ValueError."""
    # No control characters: some modems take two of them for a backspace, also within quotes (modems.md 1.1).
    if not 0 < len(text) <= longest or any([c == '"' or not " " <= c <= "~" for c in text]):
        raise ValueError("quote or control character in a name, or no name, or too long")
    return text


def plmn(text):
    """PLMN as digits (bytes, 5 or 6) -> (mcc, mnc), or (None, None)."""
    if len(text) not in (5, 6) or not text.isdigit():
        return None, None
    return int(text[:3]), int(text[3:])


def scaled(text, places):
    """Decimal number as text (bytes or str, "63.421983") -> int of 10**-places, rounded half away from zero.

    Floats have no part in it: on a single-precision board they cannot hold a coordinate. Raises ValueError.
    """
    if not isinstance(text, str):
        text = bytes(text).decode()
    text = text.strip()
    negative = text[:1] == "-"
    whole, _, part = text.lstrip("+-").partition(".")
    if not (whole or part) or not (whole + part).isdigit():
        raise ValueError("not a number")
    value = int((whole or "0") + (part + "0" * places)[:places])
    if part[places : places + 1] >= "5":
        value += 1
    return -value if negative else value
