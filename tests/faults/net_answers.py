"""What a server answers wrongly, for the table of net_faults.py: functions that make an `answer(cloud, request, n)` or
change the image or the job.
"""

import json

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type


def code(code, max_age=None, times=None, payload=b""):
    def answer(cloud, request, n):
        if times is not None and n >= times:
            return None
        message = aiocoap.Message(code=code, payload=payload)
        if max_age is not None:
            message.opt.max_age = max_age
        return [(0, cloud.encode(request, message))]

    return answer


def empty(request, mtype):
    return aiocoap.Message(mtype=mtype, mid=request.mid, code=Code.EMPTY).encode()


def reset(cloud, request, n):
    return [(0, empty(request, Type.RST))]


def silence(cloud, request, n):
    return []


def some_silence(cloud, request, n):
    return [] if n % 3 == 0 else None


def separate(delay_s, mtype, kind="proxy"):
    def answer(cloud, request, n):
        message = cloud.encode(request, cloud.usual(kind, request), mtype)
        return [(0, empty(request, Type.ACK)), (delay_s, message)]

    return answer


def ack_only(cloud, request, n):
    return [(0, empty(request, Type.ACK))]


def spoilt(change):
    """The usual datagram, changed."""

    def answer(cloud, request, n):
        changed = change(bytearray(cloud.encode(request, cloud.usual("proxy", request))), n)
        return [(0, bytes(changed))]

    return answer


def wrong_token(data, n):
    data[5] ^= 0xFF
    return data


def wrong_mid(data, n):
    data[3] ^= 0xFF
    return data


def twice(cloud, request, n):
    data = cloud.encode(request, cloud.usual("proxy", request))
    return [(0, data), (0.5, data), (30, data)]


def non(cloud, request, n):
    return [(0, cloud.encode(request, cloud.usual("proxy", request), Type.NON))]


def block(change, times=None):
    """The usual block, changed by change(message, n, cloud, request)."""

    def answer(cloud, request, n):
        if times is not None and n >= times:
            return None
        message = cloud.usual("proxy", request)
        changed = change(message, n, cloud, request) if message.code == Code.CONTENT else None
        return [(0, cloud.encode(request, changed or message))]

    return answer


def having(**options):
    def change(message, n, cloud, request):
        for name, value in options.items():
            setattr(message.opt, name, value(n) if callable(value) else value)

    return block(change)


def critical(message, n, cloud, request):
    message.opt.add_option(aiocoap.optiontypes.OpaqueOption(2049, b"x"))


def shrunk(sizes):
    """Blocks become smaller and smaller."""

    def change(message, n, cloud, request):
        number, asked = cloud.wanted(request)
        szx = min(asked, sizes[min(n // 3, len(sizes) - 1)])
        return cloud.block(request, cloud.images[request.opt.proxy_uri], number << (asked - szx), szx)

    return block(change)


def renumbered(function):
    def change(message, n, cloud, request):
        number, more, szx = message.opt.block2
        message.opt.block2 = function(number, more, szx)

    return change


def payload(function):
    def change(message, n, cloud, request):
        message.payload = function(message.payload)

    return change


def flipped(data):
    return data[:-1] + bytes((data[-1] ^ 1,))


def no_block(message, n, cloud, request):
    message.opt.block2 = None


def other_place(message, n, cloud, request):
    number, _ = cloud.wanted(request)
    return cloud.block(request, cloud.images[request.opt.proxy_uri], number + 1)


def portal(message, n, cloud, request):
    page = b"<html>Please log in</html>"
    return aiocoap.Message(code=Code.CONTENT, payload=page)


def endless(message, n, cloud, request):
    number, szx = cloud.wanted(request)
    message.payload = (message.payload * 2)[: 16 << szx].ljust(16 << szx, b"\0")
    message.opt.block2 = (number, True, szx)


def past_end(cloud, request, n):
    """Goes on behind the end for ever."""
    number, szx = cloud.wanted(request)
    usual = cloud.usual("proxy", request)
    message = aiocoap.Message(code=Code.CONTENT, payload=usual.payload.ljust(16 << szx, b"\0"))
    message.opt.block2 = (number, True, szx)
    return [(0, cloud.encode(request, message))]


# images that are not what was promised


def replaced(change, back=False):
    """From the first request on the image is change(world, image)."""

    def make(world):
        from faults.net_cloud import URI

        world.cloud.images[URI] = change(world, world.image)

    return make


def replaced_in_mid(change):
    def make(world):
        from faults.net_cloud import URI

        def answer(cloud, request, n):
            if n == 0:
                cloud.images[URI] = change(world, world.image)

        return answer

    return make


def same_head(world, image):
    return image[:2048] + bytes(len(image) - 2048)


def other_genuine(world, image):
    from faults import net_rig

    other = net_rig.image("other", 10600, "1.2.0", 3)
    world.genuine |= set(net_rig.payload_blocks(other))
    return other


def older(world, image):
    from faults import net_rig

    return net_rig.image("older", 10600, "0.9.0", 1)


# jobs


def raw_job(text):
    def answer(cloud, request, n):
        message = aiocoap.Message(code=Code.CONTENT, payload=text)
        message.opt.content_format = 50
        return [(0, cloud.encode(request, message))]

    return answer


def body(**changes):
    """The job as it is, with other members of the execution."""

    def answer(cloud, request, n):
        job = cloud.current()
        if job is None:
            return None
        return raw_job(json.dumps(job.body() | changes).encode())(cloud, request, n)

    return answer


def cancelled(world):
    """The operator cancels the job in mid-download."""

    def answer(cloud, request, n):
        if n == 0:
            cloud.jobs[0].status = "CANCELLED"

    return answer


def offered_twice(world):
    """A second job for the same image waits behind the first."""
    world.offer("job-2")


def recreated(world):
    """Whenever a job has ended, there is another one for the same bad image."""

    def answer(cloud, request, n):
        if cloud.current() is None:
            world.offer(f"job-{n}", fileSize=11625)

    return answer
