"""Names of certificates in a modem's file system: BG95, SIM7080 (modems.md 2B.5, 2C.5). Pure.

Their directories tell a file's size and nothing else of what is in it, so its hash is part of its name.
"""

from binascii import crc32


def name(sec_tag, ca):
    """-> file name of the certificate `ca` (bytes) of security tag `sec_tag`; `ca` None: of one put there by hand."""
    if ca is None:
        return "ca%d.pem" % sec_tag
    return "ca%d_%08x.pem" % (sec_tag, crc32(ca) & 0xFFFFFFFF)


def is_older(other, sec_tag, current):
    """Whether the file `other` holds what `current` (both str) has replaced."""
    return other != current and other.startswith("ca%d_" % sec_tag)
