"""aiocoap's message layer on top of DTLS sessions: one remote per session, one message interface.

aiocoap does deduplication within EXCHANGE_LIFETIME, piggybacking, separate responses and retransmission
(RFC 7252 section 4); this file feeds it plaintexts that coap_check.py let through.
Called by server.py; calls the application through `site` (an aiocoap Resource).
"""

import asyncio
import logging
from collections import OrderedDict

from aiocoap import interfaces
from aiocoap.error import NetworkError
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.constants import TransportTuning
from aiocoap.protocol import Context
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.generic_udp import GenericMessageInterface

from . import coap_check

_REMEMBERED_MIDS = 512


class Tuning(TransportTuning):
    """The NCS downloader rejects separate responses, so an answer gets 1.5 s before an empty ACK goes out."""

    EMPTY_ACK_DELAY = 1.5


class SeparateTuning(Tuning):
    """For the fault that answers late: the empty ACK goes out at once, the answer follows as a CON of its own."""

    EMPTY_ACK_DELAY = 0.0


_TUNING, _SEPARATE = Tuning(), SeparateTuning()


class Remote(interfaces.EndpointAddress):
    """A DTLS session as aiocoap's idea of an endpoint; compared by identity, so a new session is a new one."""

    scheme = "coaps"
    is_multicast = False
    is_multicast_locally = False
    maximum_block_size_exp = 6

    def __init__(self, session, faults):
        self.session = session
        self._faults = faults
        self._mids = OrderedDict()

    def __repr__(self):
        return f"<session {self.session.id} {self.hostinfo}>"

    @property
    def hostinfo(self):
        return "{}:{}".format(*self.session.addr[:2])

    hostinfo_local = "coap.nrfcloud.com"
    uri_base_local = "coaps://coap.nrfcloud.com"

    @property
    def uri_base(self):
        return "coaps://" + self.hostinfo

    @property
    def blockwise_key(self):
        return self.session.id

    def is_repeat(self, mid):
        """True when this message id was seen on the session before (a retransmission that arrived twice)."""
        repeat = mid in self._mids
        self._mids[mid] = None
        if len(self._mids) > _REMEMBERED_MIDS:
            self._mids.popitem(last=False)
        return repeat

    def send(self, data):
        """Send one message; a fault may send it twice, in records of their own."""
        for _ in range(2 if self._faults.due("repeat_answer") else 1):
            self.session.send(data)


class MessageInterface(GenericMessageInterface):
    """Between the DTLS server and aiocoap's message manager."""

    def __init__(self, manager, log, loop, faults):
        super().__init__(manager, log, loop)
        self._faults = faults
        self.repeats = 0
        self.malformed = 0

    def received(self, remote, data):
        """One plaintext of a session."""
        if self._mman is None:
            return
        try:
            message = coap_check.parse(data, _SEPARATE if self._faults.separate_ms else _TUNING)
        except coap_check.Malformed as exc:
            self.malformed += 1
            self._log.info("Malformed message from %r: %s", remote, exc)
            if exc.reply is not None:
                exc.reply.remote = remote
                remote.send(exc.reply.encode())
            return
        message.remote = remote
        if message.code.is_request() and remote.is_repeat(message.mid):
            self.repeats += 1
        self._mman.dispatch_message(message)

    def closed(self, remote):
        """The session is gone: whatever waits for it is cancelled."""
        if self._mman is not None:
            self._mman.dispatch_error(NetworkError("session closed"), remote)

    async def recognize_remote(self, remote):
        return isinstance(remote, Remote)

    async def determine_remote(self, message):
        return None  # the service never starts an exchange

    async def shutdown(self):
        self._mman = None


def make_endpoint(site, faults):
    """An aiocoap Context that serves `site`, and the MessageInterface to feed. Needs a running loop."""
    loop = asyncio.get_running_loop()
    # Dispatch errors and malformed input are records of the twin, not lines on its terminal.
    logging.getLogger("coap").setLevel(logging.CRITICAL)
    context = Context(loop=loop, serversite=site)
    tokens = TokenManager(context)
    manager = MessageManager(tokens)
    interface = MessageInterface(manager, context.log, loop, faults)
    manager.message_interface = interface
    tokens.token_interface = manager
    context.request_interfaces.append(tokens)
    return context, interface
