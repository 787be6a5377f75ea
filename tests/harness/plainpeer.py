"""A platform without sessions for unit tests of lib/cloud: the real CoAP client against a table of answers.

`Platform` is the peer of a fakenet.FakeEndpoint: it answers by "METHOD path" with a function of Seen that returns
(code, payload), and keeps what it was asked. Its paths are written without a credential: `secret` stands as * in them.
"""

import asyncio

from harness.aio import run
from harness.fakenet import ACK, CON, RST, FakeEndpoint, message

_METHODS = {1: "GET", 2: "POST"}
QUICK = {"ack_timeout_ms": 200, "separate_timeout_ms": 80, "linger_ms": 0}


class Platform:
    """`manner`: "ack" piggybacked, "con" a message of its own without any ACK, "separate" an ACK first, then that."""

    def __init__(self, table, secret="", manner="ack"):
        self.table = table
        self.secret = secret
        self.manner = manner
        self.seen = []  # Seen of each request
        self.acknowledged = []  # message ids of ours that the client has acknowledged
        self._mid = 700

    def asked(self):
        """["METHOD path", ..]"""
        return [self._name(seen) for seen in self.seen]

    def _name(self, seen):
        path = ["*" if part == self.secret else part for part in seen.path().split("/")]
        return _METHODS[seen.code] + " " + "/".join(path)

    def __call__(self, seen):
        if not seen.code and seen.type == CON:  # a ping
            return [seen.empty(RST)]
        if not seen.code:
            self.acknowledged.append(seen.mid)
            return []
        self.seen.append(seen)
        answer = self.table[self._name(seen)](seen)
        replies = [] if self.manner == "con" else [message(ACK, 0, seen.mid)]
        if answer is None:  # nothing but the ACK, for ever
            return [message(ACK, 0, seen.mid)]
        code, payload = answer[0], answer[1]
        options = answer[2] if len(answer) > 2 else b""
        if self.manner == "ack":
            return [seen.ack(code, options, payload)]
        self._mid += 1
        return replies + [seen.separate(CON, self._mid, code, options, payload)]


def play(cloud_class, platform, job, **how):
    """Open a cloud on an endpoint to `platform`, await job(cloud), close; -> what the job gave."""
    endpoint = FakeEndpoint(platform)
    endpoint.mtu = how.pop("mtu", endpoint.mtu)

    async def connect():
        return endpoint

    cloud = cloud_class("node-1", connect, tuning=how.pop("tuning", QUICK), **how)

    async def all_of_it():
        await cloud.open()
        try:
            return await job(cloud)
        finally:
            await asyncio.sleep_ms(20)  # what is to be acknowledged is
            await cloud.close()

    try:
        return run(all_of_it())
    finally:
        if endpoint.closed != 1:  # also where open() failed
            raise AssertionError("the endpoint was closed %d times" % endpoint.closed)
