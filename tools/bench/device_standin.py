"""A stand-in for microCoAPy, for the ratios of device_codec.py: a codec that works in the same manner.

microCoAPy is not ours to ship and cannot be installed where CI runs. This is code of our own that does for a message
what that package does, in its way: a packet object, an object with a buffer of its own for every option, options sorted
before they are written, a bytearray that grows piece by piece, slices as copies, small tuples between functions. It
is fit for nothing but the comparison; README.md says how near it came to the original.
"""

_CON = 0
_POST = 2
_PATH = 11
_FORMAT = 12
_LIMIT = 1024
_MOST = 10


class Option:
    """Number and value; the value is a copy in a bytearray."""

    def __init__(self, number=-1, value=None):
        self.number = number
        copy = bytearray()
        if value is not None:
            copy.extend(value)
        self.value = copy


class Packet:
    """A message as an object."""

    def __init__(self):
        self.version = 0
        self.type = _CON
        self.code = 0
        self.mid = 0
        self.token = bytearray()
        self.payload = bytearray()
        self.query = bytearray()
        self.format = -1
        self.options = []

    def add(self, number, value):
        """Append an option; beyond the tenth it is dropped."""
        if len(self.options) < _MOST:
            self.options.append(Option(number, value))

    def add_path(self, path):
        """One option for each part."""
        for part in path.split("/"):
            self.add(_PATH, part)


def _nibble(value):
    if value < 13:
        return value & 15
    return 13 if value < 269 else 14


def _write_head(out, packet):
    size = len(packet.token) if packet.token is not None else 0
    out.append(0x40)
    out[0] |= (packet.type & 3) << 4
    out[0] |= size & 15
    out.append(packet.code)
    out.append(packet.mid >> 8)
    out.append(packet.mid & 0xFF)
    if size:
        out.extend(packet.token)


def _write_options(out, packet):
    last = 0
    for option in sorted(packet.options, key=lambda one: one.number):
        size = len(option.value)
        if size == 0:
            continue
        if len(out) + 5 + size >= _LIMIT:
            return
        step = option.number - last
        last = option.number
        high = _nibble(step)
        low = _nibble(size)
        out.append(high << 4 | low)
        for mark, value in ((high, step), (low, size)) if high > 12 or low > 12 else ():
            if mark == 13:
                out.append(value - 13)
            elif mark == 14:
                out.append(value - 269 >> 8)
                out.append(value - 269 & 0xFF)
        out.extend(option.value)


def _write_payload(out, packet):
    if packet.payload is not None and len(packet.payload):
        if len(out) + 1 + len(packet.payload) < _LIMIT:
            out.append(0xFF)
            out.extend(packet.payload)


def encode(mid, token, path, content_format, payload):
    """A confirmable POST as a new bytearray."""
    packet = Packet()
    packet.type = _CON
    packet.code = _POST
    packet.mid = mid
    packet.token = token
    packet.payload = payload
    packet.add_path(path)
    value = bytearray(1)
    value[0] = content_format & 0xFF
    packet.add(_FORMAT, value)
    out = bytearray()
    _write_head(out, packet)
    _write_options(out, packet)
    _write_payload(out, packet)
    return out


def _read_head(data, packet):
    packet.version = data[0] >> 6 & 3
    packet.type = data[0] >> 4 & 3
    packet.token_size = data[0] & 15
    packet.code = data[1]
    packet.mid = data[2] << 8
    packet.mid |= data[3]
    packet.token = data[4 : 4 + packet.token_size] if packet.token_size else None


def _read_option(packet, last, data, at):
    """-> (good, number, index behind it)."""
    option = Option()
    bad = (False, last, at)
    left = len(data) - at
    if left < 1:
        return bad
    step = (data[at] & 0xF0) >> 4
    size = data[at] & 0x0F
    at += 1
    if step == 15 or size == 15:
        return bad
    if step > 12:
        extra = step - 12
        if left < 1 + extra:
            return bad
        step = data[at] + 13 if extra == 1 else (data[at] << 8 | data[at + 1]) + 269
        at += extra
    if size > 12:
        extra = size - 12
        if left < 1 + extra:
            return bad
        size = data[at] + 13 if extra == 1 else (data[at] << 8 | data[at + 1]) + 269
        at += extra
    if at + size > len(data):
        return bad
    option.number = last + step
    option.value = data[at : at + size]
    packet.options.append(option)
    return (True, last + step, at + size)


def _read_rest(data, packet):
    at = 4 + packet.token_size
    last = 0
    while len(packet.options) < _MOST and at < len(data) and data[at] != 0xFF:
        good, last, at = _read_option(packet, last, data, at)
        if not good:
            return False
    packet.payload = data[at + 1 :] if at + 1 < len(data) and data[at] == 0xFF else None
    return True


def decode(data):
    """A Packet with copies of all parts; None for what is malformed."""
    packet = Packet()
    _read_head(data, packet)
    return packet if _read_rest(data, packet) else None
