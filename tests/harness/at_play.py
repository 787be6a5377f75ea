"""A body of test code against an at.Client whose modem is scripted (fakemodem). On every interpreter."""

from at.errors import ATError
from harness.aio import run
from harness.fakemodem import FakeModem


def play(make, answers, body, timeout_s=8):
    """Run `body(at, modem)`, `at` being `make(modem)`; -> (its result, modem, at)."""
    modem = FakeModem(answers)
    at = make(modem)

    async def main():
        try:
            return await body(at, modem)
        finally:
            await at.stop()

    return run(main(), timeout_s), modem, at


async def error_of(coro):
    """-> the ATError or OSError that `coro` raises, or None."""
    try:
        await coro
    except (ATError, OSError) as error:
        return error
    return None
