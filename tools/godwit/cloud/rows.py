"""Onboarding CSV files: checked before they are sent, and the errors of a bulk operation put beside their rows.

Columns, limits and patterns: OnboardDevices in spec/nrfcloud-rest.txt, nrfcloud.md 14.2. The file goes as it is (its
line ends belong to the PEM texts); it is only read here.
"""

import csv
import io
import re
from dataclasses import dataclass

from .errors import CloudError

COLUMNS = ("deviceId", "subType", "tags", "supportedFirmwareTypes", "certificate", "onboardingToken")
MAX_ROWS = 1000
_DEVICE = re.compile(r"[a-z0-9:_-]{1,128}", re.I)
_PEM = re.compile(r"-----BEGIN (CERTIFICATE|PUBLIC KEY)-----(\r\n|\r|\n)[^-]+(\r\n|\r|\n)-----END \1-----(\r\n|\r|\n)")
_ERROR = re.compile(r"\s*\[(\d+)\]:?\s*(.*)", re.S)


@dataclass
class Row:
    """One data row: the line it starts on, its device, and what is wrong with it (None: nothing known)."""

    line: int
    device: str
    problem: str | None = None


def check_device_id(device):
    """CloudError unless the service takes it as a device id (nrfcloud.md 3.3)."""
    if not _DEVICE.fullmatch(device):
        raise CloudError(f"device id {device!r}: 1 to 128 of a-z A-Z 0-9 : _ -")


def read(data, columns=COLUMNS[:5]):
    """Rows of a CSV file (bytes), with problems that the service would refuse it for. CloudError when it is no CSV.

    `columns` is the order without a header; a header is recognised by a cell "deviceId".
    """
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        found, header, line = [], columns, 1
        for cells in reader:
            if line == 1 and "deviceId" in cells:
                header = tuple(cells)
                _check_header(header)
            else:
                found.append(_row(cells, header, line))
            line = reader.line_num + 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise CloudError(f"not a CSV file: {error}") from error
    if not 0 < len(found) <= MAX_ROWS:
        raise CloudError(f"{len(found)} rows: the service takes 1 to {MAX_ROWS} in one file")
    _mark_doubles(found)
    return found


def place_errors(errors, found):
    """Write a bulk operation's errors ("[0]: text", counted from 0) to their rows; returns those without a row."""
    stray = []
    for text in errors:
        match = _ERROR.fullmatch(str(text))
        if match and int(match[1]) < len(found):
            row = found[int(match[1])]
            row.problem = f"{row.problem}; {match[2]}" if row.problem else match[2]
        else:
            stray.append(str(text))
    return stray


def one_row(device, pem, sub_type="", tags=(), types=()):
    """A file with a header for one device (bytes)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS[:5])
    writer.writerow((device, sub_type, "|".join(tags), "|".join(types), pem))
    return out.getvalue().encode()


def key_row(device, pem):
    """A file without a header for `devices/public-keys` and `devices/certificates` (bytes)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow((device, pem))
    return out.getvalue().encode()


def _check_header(header):
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise CloudError(f"unknown column {unknown[0]!r}: expected {', '.join(COLUMNS)}")


def _row(cells, header, line):
    if not cells:
        return Row(line, "", "a blank line")
    if len(cells) > len(header):
        return Row(line, cells[0], f"{len(cells)} cells, expected {len(header)}: a quote missing around the PEM?")
    values = dict(zip(header, cells, strict=False))
    device = values.get("deviceId", "")
    if not _DEVICE.fullmatch(device):
        return Row(line, device, "device id not valid")
    pem, token = values.get("certificate", ""), values.get("onboardingToken", "")
    if bool(pem.strip()) == bool(token.strip()):
        return Row(line, device, "a certificate (or public key) or an onboarding token is needed, not both")
    if pem and not _PEM.fullmatch(pem):
        return Row(line, device, "not a certificate or public key in PEM with its last line end")
    return Row(line, device)


def _mark_doubles(found):
    seen = {}
    for row in found:
        if row.problem is None and row.device in seen:
            row.problem = f"the same device as on line {seen[row.device]}"
        seen.setdefault(row.device, row.line)
