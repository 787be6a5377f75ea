"""Code that is needed for minutes a day need not sit in the heap all day.

Modules that are imported inside a function when their time comes, and that keep no state of their own, are listed in
COLD. `forget()` drops them, so that the next collection takes their bytecode back: about 80 of the 165 KB that all of
the code takes on a 32-bit board when it is loaded from .mpy files (`make size`). Loading them again costs a few
milliseconds of flash reads. Boards that freeze the code or run it from ROMFS lose nothing by it.
"""

import sys

COLD = (
    "at.bursts",
    "at.expected",
    "at.recover",
    "at.tty",
    "bootsel",
    "cbor.decode",
    "cbor.encode",
    "cbor.float64",
    "cbor.deterministic",
    "cbor.floats",
    "cbor.rare",
    "cloud.nrfcloud.assist",
    "cloud.nrfcloud.ground_fix",
    "cloud.nrfcloud.jobs",
    "cloud.nrfcloud.messages",
    "cloud.nrfcloud.needs",
    "cloud.nrfcloud.predict",
    "cloud.nrfcloud.provision",
    "cloud.nrfcloud.session",
    "cloud.nrfcloud.state",
    "coap.calls",
    "coap.download",
    "coap.numbers",
    "coap.observe",
    "coap.options",
    "coap.response",
    "coap.settle",
    "coap.transfer",
    "coap.upload",
    "coap.window",
    "coap.writer",
    "es256",
    "fota.fetch",
    "fota.manifest",
    "fota.slots",
    "fota.space",
    "fota.verify",
    "gnss.agnss",
    "gnss.pgps",
    "gnss.predictions",
    "gnss.walk",
    "journal.reading",
    "journal.recover",
    "jwt",
    "modem.convert",
    "modem.nrf91.cells",
    "modem.nrf91.gnss",
    "modem.nrf91.info",
    "modem.nrf91.keys",
    "modem.nrf91.ladder",
    "modem.nrf91.link",
    "modem.nrf91.power",
    "modem.nrf91.receiver",
    "modem.nrf91.sockets",
    "modem.nrf91.verbs",
    "modem.timers",
    "net.handshake",
    "parts",
    "schema",
    "session",
    "shadow",
    "store",
    "tasks.assist",
    "tasks.locate",
    "tasks.offline",
    "tasks.place",
    "tasks.provision",
    "tasks.rise",
    "tasks.shadow",
    "tasks.trial",
    "tasks.update",
    "tasks.uplink",
)


def forget():
    """Drop every module in COLD. Code that is running, or that an object still belongs to, lives on until it ends."""
    for name in COLD:
        if sys.modules.pop(name, None):
            parent, _, leaf = name.rpartition(".")
            parent = sys.modules.get(parent)
            if parent and hasattr(parent, leaf):
                delattr(parent, leaf)
