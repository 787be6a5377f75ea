"""The device side of test_provisioning.py: runs under MicroPython as `provision_device.py PTY ROOT ROUNDS`.

The firmware's own way to the cloud (tasks/link with tasks/rise and tasks/provision, session, settings below ROOT) over
lib/modem and lib/cloud. Prints one JSON line per finding; ends when the link is up and a message is accepted, or after
ROUNDS refused attempts.
"""

import asyncio
import json
import sys
import time

import clock
import cloud
import log
import modem
import session
from config import Config
from state import State
from tasks.link import Link


def tell(name, value=True):
    print(json.dumps([name, value]))


class Heap:
    def mark(self):
        pass


class App:
    """What session.py needs of the firmware's App."""

    rx_bytes = 2816

    def __init__(self, pty, root):
        self.root = root
        self.config = Config(root)
        self.heap = Heap()
        self.modem = modem.load("nrf91")(open(pty, "r+b"), log=lambda text: tell("modem", text))


class Skipped:
    """Waits of policy take no time: the clock is moved on instead."""

    def __init__(self):
        self.ms = 0

    def ticks_ms(self):
        return time.ticks_add(time.ticks_ms(), self.ms)

    async def rest(self, ms):
        self.ms += ms
        await asyncio.sleep_ms(0)


class Watched:
    """The cloud of the link, which counts the attempts; ends the program after `rounds` refusals."""

    def __init__(self, real, rounds):
        self._real = real
        self._left = rounds

    async def open(self):
        tell("opening", self._real.device_id)
        try:
            return await self._real.open()
        except Exception as error:
            tell("refused", "%s: %s" % (type(error).__name__, error))
            self._left -= 1
            if not self._left:
                raise SystemExit from None
            raise

    def __setattr__(self, name, value):
        if name in ("_real", "_left"):
            super().__setattr__(name, value)
        else:
            setattr(self._real, name, value)

    def __getattr__(self, name):
        return getattr(self._real, name)


async def main(pty, root, rounds):
    app = App(pty, root)
    skipped = Skipped()
    clock.configure(skipped.ticks_ms, skipped.rest)
    log.level = log.DEBUG

    async def connect():
        return await session.connect(app)

    async def token(*asked):
        return await session.token(app, *asked)

    real = cloud.load("nrfcloud")(
        app.config["device_id"], connect, token, {"cver": "1.0.0", "dver": "1"}, auth="auth/" + app.config["auth"]
    )
    state = State()
    link = Link(state, app.config, app.modem, Watched(real, int(rounds)))
    asyncio.create_task(clock.keep())
    if app.config["sample_interval_s"] == 600:  # the test's way to say that the shadow has asked
        state.provision.set()
    clock.enter()
    task = asyncio.create_task(link.run())
    while not state.link.is_set():
        await asyncio.sleep_ms(20)
        if task.done():
            await task
    tell("up", real.device_id)
    tell("published", await real.publish([(1, 0, "temp", 21)]))
    tell("settings", {key: app.config[key] for key in ("device_id", "jwt", "auth", "uplink_interval_s")})
    await real.close()


asyncio.run(main(*sys.argv[1:]))
