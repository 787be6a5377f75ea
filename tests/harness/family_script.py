"""Any modem family over a scripted modem, for the unit tests: `drive` runs a body with both."""

import modem
from at.errors import ATError
from harness.aio import run
from harness.fakemodem import FakeModem

ERROR = b"\r\nERROR\r\n"
OK = b"\r\nOK\r\n"


def said(*lines):
    """-> an answer: info lines, then OK."""
    return b"".join([b"\r\n" + line + b"\r\n" for line in lines]) + OK


def drive(family, basic, body, answers=None, started=True, timeout_s=8, **options):
    """Run `body(modem, fake)` of a family, its answers `basic` and then `answers`; -> (result, the FakeModem, what
    on_lost was told). `options`: of the class."""
    merged = dict(basic)
    merged.update(answers or {})
    fake = FakeModem(merged)
    lost = []

    async def main():
        made = modem.load(family)(fake, **options)
        made.on_lost = lost.append
        made.poll_ms, made.burst_pause_ms, made.retry_ms = 50, 5, 5
        made.at.probe_ms, made.at.quiet_ms, made.at.drain_ms = 40, 20, 60
        try:
            if started:
                await made.start()
                fake.sent.clear()
            return await body(made, fake)
        finally:
            await made.at.stop()

    return run(main(), timeout_s), fake, lost


async def errno_of(coro):
    """-> errno of the OSError that `coro` raises, its ATError, or None."""
    try:
        await coro
    except OSError as error:
        return error.args[0]
    except ATError as error:
        return error
    return None
