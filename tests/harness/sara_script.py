"""modem.sara_r5 over a scripted modem, for the unit tests: an R510M8S that is registered and whose bearer is up."""

import modem
from at.errors import ATError
from harness.aio import run
from harness.fakemodem import FakeModem

ERROR = b"\r\nERROR\r\n"
OK = b"\r\nOK\r\n"


def said(*lines):
    """-> an answer: info lines, then OK."""
    return b"".join([b"\r\n" + line + b"\r\n" for line in lines]) + OK

BASIC = {
    "AT+CGMM": said(b"SARA-R510M8S"),
    "AT+CEREG?": said(b'+CEREG: 5,1,"5A10","01A2B3C4",7'),
    "AT+COPS?": said(b'+COPS: 0,2,"26201",7'),
    "AT+UGPS?": said(b"+UGPS: 0"),
    "AT+UPSND=0,8": said(b"+UPSND: 0,8,1"),
    "AT+USOCR=17": said(b"+USOCR: 0"),
    "AT+USOSEC=0,1,0": OK,
    "AT+CCLK?": said(b'+CCLK: "26/01/02,05:04:05+08"'),
    'AT+UDNSRN=0,"coap.nrfcloud.com"': said(b'+UDNSRN: "192.0.2.10"'),
}


def drive(body, answers=None, started=True, timeout_s=8, **options):
    """Run `body(modem, fake)`; -> (its result, the FakeModem, what on_lost was told). `options`: of the class.

    `started`: whether start() has run, and None: as if it had, which spares a tenth of a second."""
    merged = dict(BASIC)
    merged.update(answers or {})
    fake = FakeModem(merged)
    lost = []

    async def main():
        made = modem.load("sara_r5")(fake, **options)
        made.on_lost = lost.append
        made.poll_ms, made.retry_ms = 50, 5
        made.at.probe_ms, made.at.quiet_ms, made.at.drain_ms = 40, 20, 60
        made.at.least_ms = 0
        try:
            if started:
                await made.start()
                fake.sent.clear()
            elif started is None:
                made.at.parser.synced = made.at.parser.mute = True
                made.restarted = False
                made.model = "SARA-R510M8S"
                made.caps = frozenset(("DTLS", "PSM", "GNSS", "AGNSS", "TIMEHINT", "POSHINT"))
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
