"""The device side of test_gnss_receiver.py: runs under MicroPython as `ublox_device.py PTY SCENARIO ARG..`.

Drives gnss.ublox over the simulated receiver and prints one JSON line per finding.
"""

import asyncio
import json
import sys

import clock
from at.tty import prepare
from gnss.ublox import Receiver
from gnss.ublox_session import Session

_FIX_MS = 60000
PLACE = {"lat": 544700000, "lon": 90400000, "acc_mm": 20000000}


def tell(name, value=True):
    print(json.dumps([name, value]))


def masks(need):
    return need and [need["flags"], need["systems"][1][0]]


async def search(receiver, blob=None, hint=False):
    """Start, help, fix, stop."""
    await receiver.gnss_start()
    try:
        tell("caps", sorted(receiver.caps))
        tell("need", masks(await receiver.gnss_need(2000)))
        if blob:
            tell("taken", await receiver.agnss_inject(blob))
            tell("left", masks(await receiver.gnss_need(2000)))
        if hint:
            await receiver.gnss_hint(clock.now(), PLACE)
        tell("fix", await receiver.gnss_fix(_FIX_MS))
    finally:
        await receiver.gnss_stop()


async def bare(receiver, path):
    await search(receiver)


async def hinted(receiver, path):
    await search(receiver, hint=True)


async def assisted(receiver, path):
    with open(path, "rb") as file:
        blob = file.read()
    await search(receiver, [blob[:100], blob[100:101], blob[101:]])
    await search(receiver)  # it was asleep, not off


async def forgetful(receiver, path):
    """Two searches, and between them the battery is lost."""
    with open(path, "rb") as file:
        blob = file.read()
    await search(receiver, blob)
    tell("ready")
    sys.stdin.readline()
    await search(receiver)


async def mute(receiver, path):
    try:
        await receiver.gnss_start()
        tell("ready")
        sys.stdin.readline()
        Session.answer_ms = 50
        await receiver.gnss_fix(_FIX_MS)
    except OSError as error:
        tell("errno", error.args[0])


async def main():
    stream = open(sys.argv[1], "r+b")
    prepare(stream)
    Session.answer_ms = 300
    unix_s = int(sys.argv[4])
    if unix_s:
        clock.set_utc(unix_s * 1000)
    receiver = Receiver(stream, log=lambda text: tell("log", text))
    await globals()[sys.argv[2]](receiver, sys.argv[3])
    tell("lost", 0)


asyncio.run(main())
