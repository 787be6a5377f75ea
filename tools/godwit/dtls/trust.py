"""What a client asks of a server's certificate: who signed it, for which name, and whether its time has come.

The engines build the chain; the clock and the name are checked here, because the clock is the simulated world's.
"""

import datetime
import ipaddress

from cryptography import x509

VERIFY_NONE, VERIFY_OPTIONAL, VERIFY_REQUIRED = 0, 1, 2


class CredentialError(ValueError):
    """The security tag does not hold what a connection needs."""


class Trust:
    """`ca_pem`: root certificates; `hostname` None: any; `now_s` None: certificates do not age.

    `sni` is the name that the ClientHello carries (None: that of `hostname`); `reason` says after a refusal why.
    """

    def __init__(self, ca_pem, verify=VERIFY_REQUIRED, hostname=None, now_s=None, sni=None):
        self.ca_pem = ca_pem
        self.verify = verify
        self.hostname = hostname
        self.sni = sni or hostname
        self.now = None if now_s is None else datetime.datetime.fromtimestamp(now_s, datetime.UTC)
        self.reason = None
        if verify != VERIFY_NONE:
            certificates(ca_pem)

    def refuse(self, reason):
        """Remember the first reason; False."""
        self.reason = self.reason or reason
        return False

    def accepts(self, cert, depth):
        """Is the certificate (depth 0: the server's own) of our time, and of our name?"""
        if self.now and not cert.not_valid_before_utc <= self.now <= cert.not_valid_after_utc:
            return self.refuse("certificate refused (its time is not now)")
        if depth == 0 and self.hostname and not matches(cert, self.hostname):
            return self.refuse("host name does not match")
        return True


def certificates(pem):
    """The certificates of a PEM text. Raises CredentialError."""
    if not pem:
        raise CredentialError("no root CA in the security tag")
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as err:
        raise CredentialError("certificate does not parse") from err


def matches(cert, hostname):
    """RFC 6125 match of a host name or address against the subjectAltName, wildcard in the first label only."""
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return any(str(c.value).lower() == hostname.lower() for c in common)
    try:
        return ipaddress.ip_address(hostname) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    wanted = hostname.lower().rstrip(".")
    for name in names.get_values_for_type(x509.DNSName):
        name = name.lower()
        if name == wanted or (name.startswith("*.") and wanted.partition(".")[2] == name[2:]):
            return True
    return False
