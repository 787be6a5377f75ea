"""Code that is needed for minutes a day need not sit in the heap all day.

Modules that are imported inside a function when their time comes, and that keep no state of their own, are listed in
COLD, by package. `forget()` drops them, so that the next collection takes their bytecode back: most of what all of the
code takes on a 32-bit board when it is loaded from .mpy files (`make size`). Loading them again costs a few
milliseconds of flash reads. Boards that freeze the code or run it from ROMFS lose nothing by it.
"""

import sys

COLD = (
    ("", "bootsafe bootsel es256 jwt life parts schema session shadow store"),
    ("at", "bursts expected recover tty"),
    ("cbor", "decode encode float64 deterministic floats rare"),
    ("cloud.exosite", "content dataports jobs"),
    ("cloud.nrfcloud", "assist ground_fix jobs messages needs predict proxy provision session shelf state"),
    ("cloud.thingsboard", "attributes chunks jobs telemetry"),
    ("coap", "calls download numbers observe options response settle transfer upload window writer"),
    ("fota", "blocks fetch head image manifest partition partitions slots space table trust unpack verify"),
    ("gnss", "agnss agnss_nrf91 agnss_ubx answer date download nmea offline pgps predictions walk"),
    ("gnss", "ublox_session ublox_verbs ubx ubx_need ubx_stream"),
    ("journal", "reading recover"),
    ("modem", "convert handles info ladder link pem polled power rtc timers verbs"),
    ("modem.bg95", "cells files gnss secure sockets steps verbs waking xtra"),
    ("modem.nrf91", "agnss cells gnss keys receiver sockets steps verbs"),
    ("modem.sara_r5", "assist cells gnss receiver secure sockets steps tunnel verbs"),
    ("modem.sim7080", "cells files gnss secure sockets steps verbs waking xtra"),
    ("net", "handshake"),
    ("tasks", "job ladder late locate offline place plan provision rise safe search shadow trial update uplink"),
)


def forget():
    """Drop every module in COLD. Code that is running, or that an object still belongs to, lives on until it ends."""
    modules = sys.modules
    for package, leaves in COLD:
        parent = modules.get(package)
        for leaf in leaves.split():
            if modules.pop(package + "." + leaf if package else leaf, None) and parent and hasattr(parent, leaf):
                delattr(parent, leaf)
