"""The emulated ThingsBoard put together: a CoAP port for devices, calls for operators.

Runs in the event loop of whoever starts it; the calls are safe in that loop only. Called by tests (LoopThread).
"""

from dataclasses import dataclass

from .. import coap_check, plain_transport
from . import api
from .devices import Device

_OPTIONS = {**coap_check.OPTIONS, 6: (0, 3, False, False)}


@dataclass
class Switches:
    """How it answers. `manner` of fast successes: "con" as since 3.6.2, "ack" as before, "separate" as when slow;
    `delay_s`: before each answer; `frozen`: the core does not answer, so nothing comes but the empty ACK."""

    manner: str = "con"
    delay_s: float = 0.0
    frozen: bool = False


class ThingsBoard:
    """`world` has now_ms() and now_s(). After start(): `port`; `site` has `requests` and `violations`."""

    def __init__(self, world, ack_timeout_s=2.0, empty_ack_s=0.5):
        self.world = world
        self.switches = Switches()
        self.devices = {}
        self.site = api.Site(self.devices, world, self.switches)
        self.port = None
        self._tuning = plain_transport.tuning(ack_timeout_s, empty_ack_s)
        self._at_once = plain_transport.tuning(ack_timeout_s, 0)
        self._context = None

    async def start(self, host="127.0.0.1", port=0):
        """Bind and serve; -> self. Raises OSError (port taken)."""
        self._context, self.port = await plain_transport.serve(self.site, self._patience, _OPTIONS, host, port)
        return self

    async def shutdown(self):
        """Let go of the port; what was not answered never is."""
        await self._context.shutdown()

    def _patience(self, request):
        """Firmware bytes are always announced by an empty ACK first."""
        return self._at_once if request.opt.uri_path[:1] in (("fw",), ("sw",)) else self._tuning

    def add_device(self, token):
        """-> Device"""
        self.devices[token] = Device(token)
        return self.devices[token]

    def assign(self, token, package):
        """Assign a devices.Package, or with None take it away."""
        self.devices[token].assign(package, self.world.now_ms())

    def fw_states(self, token):
        """Every fw_state of a device in the order of arrival, the platform's own QUEUED and INITIATED included."""
        return self.devices[token].told("fw_state")
