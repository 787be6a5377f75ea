"""DTLS records as they look on the wire (RFC 6347 section 4.1, RFC 9146 section 4), and the names of suites."""

HEADER = 13  # type, version (2), epoch (2), sequence (6), length (2)
CCS, ALERT, HANDSHAKE, DATA, CID = 20, 21, 22, 23, 25
_CLIENT_HELLO = 1
_RANDOM_AT = HEADER + 12 + 2  # record header, handshake header, client_version

# IANA number: OpenSSL's name, in the order in which a server of small nodes prefers them.
SUITES = {
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
    0xC024: "ECDHE-ECDSA-AES256-SHA384",
    0xC0AC: "ECDHE-ECDSA-AES128-CCM",
    0xC0AE: "ECDHE-ECDSA-AES128-CCM8",
    0xC009: "ECDHE-ECDSA-AES128-SHA",
    0xC00A: "ECDHE-ECDSA-AES256-SHA",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC027: "ECDHE-RSA-AES128-SHA256",
}
SERVER_SUITES = (0xC02B, 0xC02C, 0xC023, 0xC024, 0xC0AC, 0xC0AE, 0xC009, 0xC00A)
# What nRF91 offers (nrfcloud.md 2), as far as a certificate is the server's proof.
MODEM_SUITES = (0xC02B, 0xC024, 0xC00A, 0xC023, 0xC009, 0xC02F, 0xC027)


def number_of(name):
    """IANA number of an OpenSSL suite name; 0 when it is none of ours."""
    return next((number for number, found in SUITES.items() if found == name), 0)


def split_records(data, cid_length=0):
    """The well-formed records of a datagram, as (type, epoch, bytes). Stops at the first malformed one.

    A record of type 25 has `cid_length` bytes of connection ID before its length; it is malformed when that is 0.
    """
    records = []
    while len(data) >= HEADER:
        header = HEADER
        if data[0] == CID and cid_length:
            header += cid_length
        elif not CCS <= data[0] <= DATA:
            break
        size = header + int.from_bytes(data[header - 2 : header], "big")
        if data[1] != 0xFE or header > len(data) or size > len(data):
            break
        records.append((data[0], int.from_bytes(data[3:5], "big"), bytes(data[:size])))
        data = data[size:]
    return records


def connection_id(record, length):
    """The connection ID of a record of type 25."""
    return record[HEADER - 2 : HEADER - 2 + length]


def number(record):
    """Epoch and sequence number of a record as one int; grows with each record of an association."""
    return int.from_bytes(record[3:11], "big")


def client_random(record):
    """The 32 random bytes of a ClientHello in a plaintext record (type, epoch, bytes), else None."""
    kind, epoch, raw = record
    if kind != HANDSHAKE or epoch or len(raw) < _RANDOM_AT + 32 or raw[HEADER] != _CLIENT_HELLO:
        return None
    if any(raw[HEADER + 6 : HEADER + 9]):  # a later fragment carries no random
        return None
    return raw[_RANDOM_AT : _RANDOM_AT + 32]
