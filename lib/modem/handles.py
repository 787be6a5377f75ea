"""Socket numbers that we choose, and what is left of them when an opening fails half-way: BG95, SIM7080.

Called by their sockets.py while a socket is opened. RAM: none; the books are `endpoints` and `orphans` of the modem.
"""

from errno import ECONNRESET, ENOMEM


async def claim(modem, numbers):
    """-> a number of `numbers` that is free, in the books as an orphan until keep(). What was left open is closed
    first. Raises OSError(ENOMEM) when all are open, OSError(ECONNRESET) when start() is due."""
    if modem.restarted:  # it may be asleep, and what opens a socket waits for minutes
        raise OSError(ECONNRESET, "modem restarted")
    while modem.orphans:
        number = modem.orphans[-1]
        await modem.close_handle(number)
        if number in modem.orphans:  # another may have joined it meanwhile
            modem.orphans.remove(number)
    for number in numbers:
        if number not in modem.endpoints:
            modem.orphans.append(number)
            return number
    raise OSError(ENOMEM, "all sockets are open")


def keep(modem, endpoint):
    """The opening went well: -> `endpoint`, now in the books. OSError(ECONNRESET): the modem restarted meanwhile."""
    if endpoint.handle not in modem.orphans:
        raise OSError(ECONNRESET, "lost while opening")
    modem.orphans.remove(endpoint.handle)
    modem.endpoints[endpoint.handle] = endpoint
    return endpoint


async def give_up(modem, number):
    """The opening failed: the modem may hold the number all the same."""
    if number in modem.orphans:
        await modem.close_handle(number)
        modem.orphans.remove(number)
