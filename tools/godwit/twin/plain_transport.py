"""aiocoap on a plain UDP socket, for platforms that have no DTLS, and with the ways of answering that they have.

An answer of a site may carry the attribute `manner`: "ack" (piggybacked, the default), "con" (a confirmable message of
its own and no ACK for the request: ThingsBoard since 3.6.2), "separate" (an empty ACK at once, then a confirmable
message). A repeated request that was answered "con" or "separate" gets an empty ACK. Facts: platforms.md 1.4.
Called by thingsboard/server.py and exosite/server.py.
"""

import asyncio
import logging

from aiocoap import Message, interfaces
from aiocoap.error import NetworkError
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers import codes
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.types import ACK, CON
from aiocoap.protocol import Context
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.generic_udp import GenericMessageInterface

from . import coap_check

_RECEIVE_LIMIT = 2048  # larger datagrams vanish (platforms.md 1.4)


def tuning(ack_timeout_s=2.0, empty_ack_s=0.5):
    """Transport parameters: how long the server waits for an ACK, and until it sends an empty one itself."""
    made = TransportTuning()
    made.ACK_TIMEOUT = ack_timeout_s
    made.EMPTY_ACK_DELAY = empty_ack_s
    return made


class Remote(interfaces.EndpointAddress):
    """An address and port of a client; one object for each."""

    scheme = "coap"
    is_multicast = False
    is_multicast_locally = False
    maximum_block_size_exp = 6
    uri_base_local = "coap://twin"
    hostinfo_local = "twin"

    def __init__(self, transport, addr):
        self._transport = transport
        self.addr = addr

    def __repr__(self):
        return f"<{self.hostinfo}>"

    @property
    def hostinfo(self):
        return "{}:{}".format(*self.addr[:2])

    @property
    def uri_base(self):
        return "coap://" + self.hostinfo

    @property
    def blockwise_key(self):
        return self.addr

    def send(self, data):
        """Send one message."""
        if not self._transport.is_closing():
            self._transport.sendto(data, self.addr)


class _Manager(MessageManager):
    """aiocoap's message layer, which would piggyback whatever comes in time, and keep an answer back until the one
    before is acknowledged: Californium sends answers as they come."""

    def send_message(self, message, messageerror_monitor):
        manner = getattr(message, "manner", "ack")
        found = self._piggyback_opportunities.get((message.remote, message.token))
        if manner != "ack" and found and not message.opt.no_response:
            del self._piggyback_opportunities[(message.remote, message.token)]
            mid, handle = found
            handle.cancel()
            if manner == "separate":
                self._send_empty_ack(message.remote, mid, "answers are always separate")
            else:
                self._recent_messages[(message.remote, mid)] = _empty_ack(message.remote, mid)
            message.mtype, message.mid = CON, self._next_message_id()
            message.transport_tuning = message.request.transport_tuning
            self._send_initially(message, messageerror_monitor)
            return
        super().send_message(message, messageerror_monitor)

    def _retransmit(self, message, timeout, retransmission_counter):
        self._backlogs.setdefault(message.remote, [])
        super()._retransmit(message, timeout, retransmission_counter)

    def _continue_backlog(self, remote):
        if remote in self._backlogs:
            super()._continue_backlog(remote)


def _empty_ack(remote, mid):
    ack = Message(code=codes.EMPTY, _mtype=ACK, _mid=mid)
    ack.remote = remote
    return ack


class _Interface(GenericMessageInterface, asyncio.DatagramProtocol):
    """Between the socket and aiocoap's message manager."""

    def __init__(self, manager, log, loop, tuning_of, known):
        super().__init__(manager, log, loop)
        self._tuning_of = tuning_of
        self._options = known
        self._remotes = {}
        self._transport = None
        self.malformed = 0

    def connection_made(self, transport):
        self._transport = transport

    def error_received(self, exc):
        pass  # an ICMP error about something sent earlier: the client is away

    def datagram_received(self, data, addr):
        """One datagram."""
        if self._mman is None or len(data) > _RECEIVE_LIMIT:
            return
        remote = self._remotes.get(addr)
        if remote is None:
            remote = self._remotes[addr] = Remote(self._transport, addr)
        try:
            message = coap_check.parse(data, None, self._options)
        except coap_check.Malformed as exc:
            self.malformed += 1
            if exc.reply is not None:
                exc.reply.remote = remote
                remote.send(exc.reply.encode())
            return
        message.remote = remote
        message.transport_tuning = self._tuning_of(message)
        self._mman.dispatch_message(message)

    async def recognize_remote(self, remote):
        return isinstance(remote, Remote)

    async def determine_remote(self, message):
        return None  # the service never starts an exchange

    async def shutdown(self):
        manager, self._mman = self._mman, None
        if manager:
            for remote in self._remotes.values():
                manager.dispatch_error(NetworkError("shut down"), remote)
        if self._transport:
            self._transport.close()


async def serve(site, tuning_of, known=coap_check.OPTIONS, host="127.0.0.1", port=0):
    """Serve `site` (an aiocoap Resource) with the tuning_of(message) of each request; -> (aiocoap Context to shut down,
    port). Raises OSError (port taken)."""
    loop = asyncio.get_running_loop()
    logging.getLogger("coap").setLevel(logging.CRITICAL)  # malformed input is for counters, not for a terminal
    context = Context(loop=loop, serversite=site)
    tokens = TokenManager(context)
    manager = _Manager(tokens)
    interface = _Interface(manager, context.log, loop, tuning_of, known)
    manager.message_interface = interface
    tokens.token_interface = manager
    context.request_interfaces.append(tokens)
    transport, _ = await loop.create_datagram_endpoint(lambda: interface, local_addr=(host, port))
    return context, transport.get_extra_info("sockname")[1]
