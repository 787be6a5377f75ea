"""Provisioning commands as operators write them, as a device executes them, and what it answers (facts 13.2, 13.3).

One request object of the REST side becomes one or more steps; a step is one item of the CBOR commands: an AT command,
settings, or "finished". Before a key is made the old one is deleted, 513 (there is none) being ignored: %KEYGEN refuses
to overwrite (519), and a device that lost power in between can be given the same steps again.
Called by provisioning.py and provisioning_api.py; pure.
"""

import re
from dataclasses import dataclass, field

import cbor2

from .errors import invalid

AT, CONFIG, FINISHED = 0, 1, 2  # forms of a command
ERROR, AT_OK, CONFIG_OK, FINISHED_OK = 99, 100, 101, 102  # forms of a response
DEFAULT_SEC_TAG = 16842753
_NOT_FOUND = 513
_MAX_CONTENT = 4096
_MAX_PROPERTIES = 10
_KEYGEN_ANSWER = 900  # bytes that the answer to a %KEYGEN may take, and
_ANSWER = 80  # any other
_KEY_USAGE = re.compile(r"[01]{9}")
_PEM = re.compile(r"\s*-----BEGIN [A-Z0-9 ]+-----\s.*-----END [A-Z0-9 ]+-----\s*", re.DOTALL)
_KEYGEN = re.compile(r'%KEYGEN:\s*"([A-Za-z0-9_=-]+(?:\.[A-Za-z0-9_=-]+)?)"')


@dataclass
class Step:
    """One item for the device, without its correlation."""

    form: int
    command: str = ""
    parameters: str = ""
    ignore: list = field(default_factory=list)
    properties: dict = field(default_factory=dict)

    def item(self, correlation):
        """The array of the CBOR commands."""
        if self.form == AT:
            return [correlation, AT, self.command, self.parameters, self.ignore]
        return [correlation, CONFIG, self.properties] if self.form == CONFIG else [correlation, FINISHED]

    def answer_size(self):
        """Bytes that a device may need for the answer."""
        return _KEYGEN_ANSWER if self.command == "%KEYGEN" else _ANSWER

    def accepts(self, form):
        """May a response of this form answer the step?"""
        return form in (ERROR, {AT: AT_OK, CONFIG: CONFIG_OK, FINISHED: FINISHED_OK}[self.form])


def steps_of(request):
    """(kind, security tag or None, [Step]) of a request object. Raises ApiError 422."""
    if not isinstance(request, dict) or len(request) != 1:
        raise invalid("request has exactly one command")
    ((kind, value),) = request.items()
    if kind not in _KINDS:
        raise invalid(f"no such command: {kind}")
    if not isinstance(value, dict):
        raise invalid(f"{kind} is an object")
    return (kind, *_KINDS[kind](value))


def encode(rows):
    """CBOR commands of (correlation, Step) pairs."""
    return cbor2.dumps([step.item(correlation) for correlation, step in rows])


def keygen_value(message):
    """What stands between the quotes of a %KEYGEN answer, or None."""
    found = _KEYGEN.search(message)
    return found and found[1]


def _generation(value, tail):
    tag = _sec_tag(value)
    return tag, [Step(AT, "%CMNG", f"3,{tag},2", [_NOT_FOUND]), Step(AT, "%KEYGEN", f"{tag},2,{tail}")]


def _request(value):
    attributes, usage = _text(value, "attributes", ""), _text(value, "keyUsage", "")
    if usage and not _KEY_USAGE.fullmatch(usage):
        raise invalid("keyUsage is nine binary digits")
    tail = "0"
    if attributes or usage:
        tail += f',"{attributes}"'
    if usage:
        tail += f',"{usage}"'
    return _generation(value, tail)


def _credential(kind):
    def make(value):
        tag = _sec_tag(value)
        content = _text(value, "content").replace("\\n", "\n")  # escaped twice, as some tools send it
        if not _PEM.fullmatch(content):
            raise invalid("content is not PEM")
        password = _text(value, "password", "")
        tail = f',"{password}"' if password else ""
        return tag, [Step(AT, "%CMNG", f'0,{tag},{kind},"{content}"{tail}')]

    return make


def _shared_key(value):
    tag = _sec_tag(value)
    secret = _text(value, "secret")
    if not re.fullmatch(r"([0-9A-Fa-f]{2})+", secret):
        raise invalid("secret is hexadecimal")
    return tag, [
        Step(AT, "%CMNG", f'0,{tag},4,"{_text(value, "identity")}"'),
        Step(AT, "%CMNG", f'0,{tag},3,"{secret}"'),
    ]


def _config(value):
    if not 1 <= len(value) <= _MAX_PROPERTIES:
        raise invalid(f"config has 1 to {_MAX_PROPERTIES} properties")
    for name, item in value.items():
        if not isinstance(item, str) or not name or len(name) > 128 or len(item) > 1024:
            raise invalid("config is made of texts")
    return None, [Step(CONFIG, properties=value)]


def _sec_tag(value):
    tag = value.get("secTag", DEFAULT_SEC_TAG)
    if isinstance(tag, bool) or not isinstance(tag, int) or not 0 <= tag < 2**31:
        raise invalid("secTag is a number up to 2147483647")
    return tag


def _text(value, name, default=None):
    text = value.get(name, default)
    if not isinstance(text, str) or '"' in text or len(text) > _MAX_CONTENT or (default is None and not text):
        raise invalid(f"{name} is a text without quotes")
    return text


# command: value -> (security tag or None, [Step])
_KINDS = {
    "clientPrivateKeyGeneration": lambda value: _generation(value, "1"),
    "cloudAccessKeyGeneration": lambda value: _generation(value, "0"),
    "certificateSigningRequest": _request,
    "serverCertificate": _credential(0),
    "clientCertificate": _credential(1),
    "clientPrivateKey": _credential(2),
    "preSharedKey": _shared_key,
    "config": _config,
    "finished": lambda value: (None, [Step(FINISHED)]),
}
