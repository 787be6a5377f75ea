"""modem.nrf91 over a scripted modem, for the unit tests: `drive` runs a body with both."""

import modem
from at.errors import ATError
from harness.aio import run
from harness.fakemodem import FakeModem

BASIC = {
    "AT#XSMVER": b'\r\n#XSMVER: "v2.0.0","3.4.0"\r\n\r\nOK\r\n',
    "AT%XSYSTEMMODE?": b"\r\n%XSYSTEMMODE: 1,0,1,0\r\n\r\nOK\r\n",
    "AT#XGNSS=?": b"\r\n#XGNSS: (0,1),(0,1,2),<interval>,<timeout>\r\n\r\nOK\r\n",
    "AT+CEREG?": b'\r\n+CEREG: 5,1,"5A10","01A2B3C4",7\r\n\r\nOK\r\n',
    "AT+CGPADDR=0": b'\r\n+CGPADDR: 0,"10.0.0.1"\r\n\r\nOK\r\n',
    "AT#XSOCKET=1,2,0": b"\r\n#XSOCKET: 3,2,17\r\n\r\nOK\r\n",
    "AT#XSSOCKET=1,2,0,42,2": b"\r\n#XSSOCKET: 3,2,273\r\n\r\nOK\r\n",
    "AT#XCLOSE=3": b"\r\n#XCLOSE: 3,0\r\n\r\nOK\r\n",
}
ERROR = b"\r\nERROR\r\n"


def drive(body, answers=None, started=True, timeout_s=8):
    """Run `body(modem, fake)`; -> (its result, the FakeModem, what on_lost was told)."""
    merged = dict(BASIC)
    merged.update(answers or {})
    fake = FakeModem(merged)
    lost = []

    async def main():
        made = modem.load("nrf91")(fake)
        made.on_lost = lost.append
        made.poll_ms, made.burst_pause_ms = 50, 5
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
        return error.errno
    except ATError as error:
        return error
    return None
