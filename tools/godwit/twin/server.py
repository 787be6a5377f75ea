"""The twin put together: store, cloud services, CoAP over DTLS, REST, records; start and stop.

One event loop, one UDP socket, one TCP socket; both are bound before anything else starts, so that a taken
port is known at once. A twin started again with the same database continues.
Called by command.py and by tests.
"""

import asyncio
import contextlib
import socket

import uvicorn

from . import coap_transport, dtls
from .agnss_api import AgnssApi
from .bundles import Bundles
from .devices import Devices
from .downloads import Downloads
from .fault_actions import FaultActions
from .faults import Faults
from .fota import Fota
from .fota_api import FotaApi
from .ground_fix import GroundFixApi
from .inbox import Inbox
from .limits import Limits
from .link import Link
from .location import Locations
from .messages import MessageApi
from .pgps import Files as PredictionFiles
from .pgps_api import PgpsApi
from .products import Products
from .provisioning import Provisioning
from .provisioning_api import ProvisioningApi
from .proxy import ProxyApi
from .records import Records
from .rest_caller import Callers
from .rest_tables import rest_app
from .scenario import Scenario
from .site import Site
from .state import StateApi
from .store import Store
from .summary import summary
from .tokens import Tokens

_FLUSH_S = 0.5


class PortTaken(OSError):
    """A port is in use (or not ours to use); str() is the line to print."""


class Twin:
    """A local nRF Cloud. `emit(event, **fields)` hears of everything that happens.

    Attributes after start(): coap_port, rest_port, faults, store, devices, fota, bundles.
    """

    def __init__(
        self, world, context, api_key, db=":memory:", emit=None, drop=0.0, seed=None, max_age=2592000, rules=()
    ):
        self.world = world
        self.faults = Faults(drop, max_age)
        self.coap_port = self.rest_port = None
        emit = emit or (lambda event, **fields: None)
        self.store = Store(db, world)
        self.records = Records(self.store, emit)
        self.limits = Limits(self.store)
        self.devices = Devices(self.store, self.limits)
        self.products = Products(self.store, self.devices)
        self.downloads = Downloads(self.store)
        self.tokens = Tokens(self.store)
        self.provisioning = Provisioning(self.store, self.devices)
        self.bundles = Bundles(self.store)
        self.fota = Fota(self.store, self.devices, self.bundles, self.limits, self.records.fota)
        self._link = Link(self.faults, seed)
        self.cid = context.cid  # whether clients can have a connection ID
        self._remotes = {}
        self.locations = Locations(self.store, self.limits)
        self.inbox = Inbox(self.store, self.locations, self.limits)
        self._dtls = dtls.Server(
            context, self._link, self._opened, self._message, self._closed, self.records.handshake_failed,
            self.records.session_rebound,
        )
        self._actions = FaultActions(self.faults, self._dtls, self.devices, self.fota, self.store)
        self._scenario = Scenario(rules, self._actions.set, world.now_ms())
        self.faults.watchers.append(self._scenario.on_request)
        self.callers = Callers(api_key, self.devices, self.tokens, world)
        self._coap = self._interface = self._rest = self._rest_task = self._flush_task = None

    async def start(self, host="127.0.0.1", coap_port=0, rest_port=0):
        """Bind and serve. Raises PortTaken."""
        udp = _bind(socket.SOCK_DGRAM, host, coap_port, "CoAP")
        try:
            tcp = _bind(socket.SOCK_STREAM, host, rest_port, "REST")
        except PortTaken:
            udp.close()
            raise
        self.coap_port, self.rest_port = udp.getsockname()[1], tcp.getsockname()[1]
        self._coap, self._interface = coap_transport.make_endpoint(self._site(), self.faults)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self._dtls, sock=udp)
        app = rest_app(self)
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        self._rest = _QuietServer(config)
        self._rest_task = asyncio.create_task(self._rest.serve(sockets=[tcp]))
        while not self._rest.started and not self._rest_task.done():
            await asyncio.sleep(0.01)
        self._flush_task = asyncio.create_task(self._flush())

    async def stop(self):
        """Close sessions (with close_notify), both sockets and the database."""
        self._flush_task.cancel()
        self._dtls.close()
        self._link.close()
        await self._coap.shutdown()
        self._rest.should_exit = True
        await self._rest_task
        self.store.close()

    def health(self):
        """What GET /twin/health answers."""
        return {
            "status": "ok",
            "coap": self.coap_port,
            "rest": self.rest_port,
            "sessions": len(self._dtls.sessions),
            "now": self.world.now_ms(),
            "errors": self.store.value("SELECT COUNT(*) FROM error"),
        }

    def summary(self):
        """What GET /twin/records answers."""
        self.records.flush()
        return summary(self.store, self._link, self._interface, self.world.now_ms(), self._dtls.counters)

    def set_faults(self, changes):
        """Change fault switches. Raises faults.FaultError."""
        self._actions.set(changes)

    def fault_state(self):
        """What GET /twin/faults answers: the switches, how often each did something, the rules that wait."""
        return {**self.faults.as_dict(), "scenario": self._scenario.left()}

    def _site(self):
        apis = [
            StateApi(self.devices),
            MessageApi(self.store, self.inbox),
            GroundFixApi(self.locations),
            AgnssApi(self.world, self.faults),
            PgpsApi(self.world, self.faults),
            FotaApi(self.fota),
            ProvisioningApi(self.provisioning),
            ProxyApi((self.bundles, PredictionFiles()), self.faults, self._block),
        ]
        return Site(self.devices, self.provisioning, self.faults, self.records, self.world, apis)

    def _block(self, call, host, path, offset, size, total):
        self.records.proxy_block(call, host, path, offset, size)
        percent = 100 * (offset + size) / total
        self._scenario.on_progress(percent)
        self._actions.on_block(call, host, path, percent)

    def _opened(self, session):
        self.records.session_opened(session)
        self._remotes[session] = coap_transport.Remote(session, self.faults)

    def _message(self, session, data):
        self._interface.received(self._remotes[session], data)

    def _closed(self, session, reason):
        self.records.session_closed(session, reason)
        self._interface.closed(self._remotes.pop(session))

    async def _flush(self):
        while True:
            await asyncio.sleep(_FLUSH_S)
            self._scenario.tick(self.world.now_ms())
            self.records.flush()


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the command line has them."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


def _bind(kind, host, port, what):
    # asyncio sets TCP_NODELAY only on sockets that say TCP; without it every REST answer waits 40 ms for a delayed ACK
    sock = socket.socket(socket.AF_INET, kind, socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else 0)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        raise PortTaken(f"{what} port {port} on {host} cannot be used: {exc.strerror}") from exc
    sock.setblocking(False)
    return sock
