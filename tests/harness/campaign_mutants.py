"""Ways to break the firmware that the campaign must notice; each is done in the process that runs the trials."""


def no_ladder():
    """What failed is tried again and never reset."""
    import modem.ladder

    async def reset(modem, level):
        pass

    modem.ladder.reset = reset


def acknowledged_too_soon():
    """The journal lets go of records before the cloud has answered."""
    from tasks.uplink import Uplink

    async def send(self, batch):
        import asyncio

        records = [record for record in batch if record[2] is not None]
        asyncio.ensure_future(_try(self._cloud.publish(records)))
        return len(batch), len(batch)

    async def _try(publishing):
        try:
            await publishing
        except Exception:
            pass

    Uplink._send = send


def leaky_close():
    """Sockets stay open in the modem."""
    import modem.nrf91.sockets

    async def close_handle(modem, handle):
        pass

    modem.nrf91.sockets.close_handle = close_handle


MUTANTS = {
    "no_ladder": no_ladder,
    "acknowledged_too_soon": acknowledged_too_soon,
    "leaky_close": leaky_close,
}
