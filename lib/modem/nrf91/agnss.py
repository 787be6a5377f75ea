"""nRF91: assistance element by element, for Serial Modem builds without the bulk command (modems.md 3.2, 3.4).

Called by modem.nrf91.gnss only. RAM: one element and the clock's struct.
"""

from errno import EINVAL

from gnss.agnss_nrf91 import Converter
from gnss.answer import Answer

# TOWs are part of the clock's struct; the clock goes first, or ephemerides may be discarded.
_ORDER = (6, 7, 8, 1, 4, 5, 2, 12, 3, 11, 9)


async def push(modem, chunks, write):
    """Hand over each element of the answer (list of its chunks) by `await write(modem, command, bursts)`.

    Raises ATError when the modem refuses one, OSError(EINVAL) when it is no answer."""
    converter = Converter()
    try:
        answer = Answer(chunks)
    except ValueError as problem:
        raise OSError(EINVAL, str(problem))
    for kind in _ORDER:
        for element in answer.each(kind):
            made = converter.convert(kind, element)
            if made:
                await write(modem, "AT#XAGNSS=%d,%d" % (len(made[1]), made[0]), made[1])
