"""nRF Cloud's provisioning service (nrfcloud.md 13): commands are fetched, run by the node, and answered, until done.

The verb `provision` of cloud.base, loaded for it. A round is one session to fetch, the modem offline while AT commands
run, and a session to answer, which also fetches the next page; settings alone need no more than one. Nothing is kept:
what was not answered comes again, so a node must be able to run a command twice. RAM: one page of commands (2.5 KB) and
its answers.
"""

from micropython import const

import cbor
import coap
from cloud.base import AuthError, CloudError

_CBOR = const(60)
_AT, _CONFIG, _FINISHED = const(0), const(1), const(2)  # commands, second item
_ERROR, _AT_OK, _CONFIG_OK, _FINISHED_OK = const(99), const(100), const(101), const(102)  # responses
_RX = const(2560)
_TX = const(2048)
_PAGE = const(5)
_MOST = const(23)  # items of one page that we take: the head of an array is one byte
_PAGES = const(20)  # in one go; the service holds 20 commands of a few items each
_SZX = const(5)  # blocks of 512 bytes: the hint of the first GET
_FORBIDDEN = const(0x83)


async def provision(cloud, node):
    """Verb of cloud.base. -> how many commands were run; 0 when the service has none for us.

    Raises AuthError (not claimed), CloudError (a command failed, and the service was told; or its commands cannot be
    read), coap.CoapError, OSError. `node`: see cloud.base."""
    count = 0
    after = ""
    room = bytearray(_RX)  # one piece, while there is one
    page = memoryview(room)
    client = await _open(cloud, node)
    try:
        for _ in range(_PAGES):
            body = await _fetch(client, after, page)
            if room.find(b"%", 0, len(body)) >= 0:  # AT commands, most likely: their texts want the session's room,
                client = await client.close()  # which goes anyway when the modem goes offline
            node.step()
            if not body:
                break
            away = check(body)
            if away:
                client = client and await client.close()
                await node.offline()
            try:
                answers, after, problem, finished = await _run(node, body)
            finally:
                if away:
                    await node.online()
            node.step()
            client = client or await _open(cloud, node)
            await client.request(coap.POST, "p/rsp", payload=join(answers, page), content_format=_CBOR)
            count += len(answers)
            answers = None
            node.step()
            if problem:
                raise CloudError("provisioning stopped: " + problem)
            if finished:
                break
    finally:
        if client:
            await client.close()
    return count


async def _open(cloud, node):
    """-> coap.Client of an authenticated session."""
    from cloud.nrfcloud.session import present

    tuning = dict(cloud.tuning)
    tuning["szx"] = _SZX
    endpoint = await cloud.connect()
    client = None  # it may find no room
    try:
        client = coap.Client(endpoint, **tuning)
        await present(cloud, client, "p/auth-jwt", await node.token())
    except coap.Refused as refused:
        await client.close()
        if refused.code in (coap.UNAUTHORIZED, _FORBIDDEN):
            raise AuthError("not claimed: %s" % refused) from None
        raise
    except BaseException:
        await (client or endpoint).close()
        raise
    return client


async def _fetch(client, after, page):
    """-> the next commands, CBOR, as the part of `page` that they fill; empty when there is none."""
    query = ("after=" + after, "rxMaxSize=%d" % len(page), "txMaxSize=%d" % _TX, "limit=%d" % _PAGE)

    def sink(at, data):
        page[at : at + len(data)] = data

    return page[: (await client.get_blocks("p/cmd", sink, query=query, limit=len(page))).bytes]


def commands(body):
    """Iterate over the commands of a page (bytes-like), each decoded when its turn comes. Raises CloudError."""
    count = body[0] - 0x80  # an array of up to 23 items, or 0x9F: as many as come before the break
    pos = 1
    try:
        while count and not (count == 0x1F and body[pos] == 0xFF):
            item, pos = cbor.load_from(body, pos)
            if not _is_command(item):
                raise ValueError
            if count != 0x1F:
                count -= 1
            yield item
        if pos + (count == 0x1F) != len(body):
            raise ValueError
    except (ValueError, IndexError):  # a CBORError is a ValueError
        raise CloudError("commands of the provisioning service that cannot be read") from None


def check(body):
    """Read a page once for its form, so that nothing of a damaged one is run; -> whether the modem has to be offline
    for it. Raises CloudError."""
    if not 0x81 <= body[0] <= 0x80 + _MOST and body[0] != 0x9F:
        raise CloudError("a page of %d bytes that is no array of commands" % len(body))
    count = 0
    away = False
    for item in commands(body):
        count += 1
        away = away or item[1] == _AT
    if not 0 < count <= _MOST:
        raise CloudError("a page of %d commands" % count)
    return away


def _is_command(item):
    if not isinstance(item, list) or len(item) < 2 or not isinstance(item[0], str):
        return False
    form = item[1]
    if isinstance(form, bool):
        return False
    if form == _AT:
        return len(item) == 5 and _texts(item[2:4]) and isinstance(item[4], list)
    if form == _CONFIG:
        return len(item) == 3 and isinstance(item[2], dict) and _texts(item[2]) and _texts(item[2].values())
    return form == _FINISHED and len(item) == 2


def _texts(values):
    for value in values:
        if not isinstance(value, str):
            return False
    return True


async def _run(node, body):
    """Run the commands of a page until one fails; -> (answers, the last correlation, what went wrong or None, whether
    "finished" was among them)."""
    answers = []
    after = finished = problem = None
    for item in commands(body):
        after = item[0]
        if item[1] == _FINISHED:
            finished = after  # answered last, and only when nothing failed
            continue
        answer, problem = await _one(node, item)
        answers.append(cbor.dumps(answer))
        if problem:
            break
    if finished and not problem:
        answers.append(cbor.dumps([finished, _FINISHED_OK]))
    return answers, after, problem, finished


async def _one(node, item):
    """-> (response to one command, what went wrong or None)."""
    after = item[0]
    if item[1] == _CONFIG:
        try:
            node.configure(item[2])
        except ValueError as refused:
            return [after, _ERROR, 0, str(refused)], str(refused)
        return [after, _CONFIG_OK], None
    allowed = item.pop()
    # The parameters may be a certificate: who executes has the only copy, and lets go of it.
    code, text = await node.execute(after, item[2], item.pop())
    if code is None or code in allowed:
        return [after, _AT_OK, text], None
    return [after, _ERROR, code, text], "%s: %s" % (item[2], text)


def join(answers, page):
    """-> an array of up to 24 encoded items, encoded: in `page` (memoryview), whose commands are done with, if it holds
    them. There is seldom a second piece of that size."""
    size = 1 + sum([len(answer) for answer in answers])
    if size > len(page):
        page = memoryview(bytearray(size))
    page[0] = 0x80 + len(answers)
    at = 1
    for answer in answers:
        page[at : at + len(answer)] = answer
        at += len(answer)
    return page[:at]
