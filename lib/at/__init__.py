"""AT channel: byte parser and client (3GPP TS 27.007, ITU-T V.250; modems.md section 1).

`from at import Client, ATError, ModemReset` loads the client; the parser alone is `at.parser` and pure.
Names are resolved on first use, as asyncio does, so that a codec test does not pay for the client.
"""

_FROM = {
    "ATError": "errors",
    "Client": "client",
    "ModemReset": "errors",
    "Parser": "parser",
    "Waiter": "wait",
    "scan_int": "fields",
    "split": "fields",
}


def __getattr__(name):
    module = _FROM.get(name)
    if module is None:
        raise AttributeError(name)
    value = getattr(__import__("at." + module, None, None, (name,)), name)
    globals()[name] = value
    return value
