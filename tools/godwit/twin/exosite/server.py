"""The emulated Exosite put together: a CoAP port for devices, calls for operators.

Runs in the event loop of whoever starts it; the calls are safe in that loop only. Called by tests (LoopThread).
"""

from .. import coap_check, plain_transport
from . import api
from .devices import Content, Dataport, Device

# A CIK of 20 raw bytes is no UTF-8, and aiocoap knows no other query: it is read from raw_options.
_OPTIONS = {**coap_check.OPTIONS, 6: (0, 3, False, False), 15: (0, 255, True, None)}


class Exosite:
    """`world` has now_ms() and now_s(). After start(): `port`; `site` has `requests`."""

    def __init__(self, world, ack_timeout_s=2.0):
        self.world = world
        self.devices = {}
        self.models = {}
        self.site = api.Site(self.devices, self.models, world)
        self.port = None
        self._tuning = plain_transport.tuning(ack_timeout_s)
        self._context = None

    async def start(self, host="127.0.0.1", port=0):
        """Bind and serve; -> self. Raises OSError (port taken)."""
        tuning = self._tuning
        self._context, self.port = await plain_transport.serve(self.site, lambda _: tuning, _OPTIONS, host, port)
        return self

    async def shutdown(self):
        """Let go of the port."""
        await self._context.shutdown()

    def add_device(self, cik, vendor, model, *strings):
        """-> Device with string dataports of these aliases."""
        self.devices[cik] = Device(cik, vendor, model, {alias: Dataport() for alias in strings})
        self.models.setdefault((vendor, model), {})
        return self.devices[cik]

    def write(self, cik, alias, text):
        """Write a dataport as the operator."""
        self.devices[cik].dataports[alias].write(text, self.world.now_ms())

    def upload(self, vendor, model, content_id, data, meta=""):
        """Put content into a model, or with data None take it away."""
        contents = self.models[vendor, model]
        if data is None:
            del contents[content_id]
        else:
            contents[content_id] = Content(data, int(self.world.now_s()), meta)
