"""Writes down what at.parser reports, for the tests of the parser: tables of several families, a sink, a feeder."""

from at.parser import Parser

ANNOUNCERS = (
    (b"#XRECV:", 2, b"\n"),
    (b"#XRECVFROM:", 2, b"\n"),
    (b"+CARECV:", 0, b","),
    (b'+CAURC: "recv"', 2, b"\n"),
    (b"+QIRD:", 0, b"\n"),
    (b"+QSSLRECV:", 0, b"\n"),
    (b'+QIURC: "recv"', 2, b"\n"),
    (b"+USORF:", 3, b'"'),
    (b"+USORD:", 1, b'"'),
    (b"+SQNSRECV:", 1, b"\n"),
)
DUAL = (b"+CEREG:", b"+CSCON:")
BOOT = (b"Ready", b"INIT ERROR", b"Bootloader mode ready", b"#XMODEM:", b"+SYSSTART", b"+SHUTDOWN")
BOOT += (b"RDY", b"APP RDY", b"SMS Ready", b"NORMAL POWER DOWN", b"POWERED DOWN", b"PSM POWER DOWN", b"UNDER-VOLTAGE")
URCS = (b"+CEREG:", b"+CSCON:", b"+CPIN:", b"+CFUN:", b"*PSUTTZ:", b"DST:", b"+CTZV:", b"RING", b"+CRING:", b"+CMTI:")
URCS += (b"+APP PDP:", b"+CASTATE:", b"+CADATAIND:", b"+CAURC:", b"+QUSIM:", b"+QIND:", b"+QIOPEN:", b"+QIURC:")
URCS += (b"+UUPSDA:", b"+UUPSDD:", b"+UUSORF:", b"+UUSOCL:", b"+SQNSRING:", b"+SQNSH:", b"+LPGNSSFIXREADY:")


class Recorder:
    """A sink that writes events down as tuples."""

    def __init__(self):
        self.events = []

    def on_info(self, line):
        self.events.append(("info", line))

    def on_urc(self, line):
        self.events.append(("urc", line))

    def on_final(self, ok, line):
        self.events.append(("final" if ok else "fail", line))

    def on_prompt(self):
        self.events.append(("prompt",))

    def on_data(self, line, block):
        self.events.append(("data", line, None if block is None else bytes(block)))

    def on_boot(self, line):
        self.events.append(("boot", line))

    def on_unknown(self, line):
        self.events.append(("unknown", line))


def make(size=4096):
    sink = Recorder()
    parser = Parser(sink, size, ANNOUNCERS, DUAL, BOOT)
    parser.urcs = URCS
    parser.synced = True
    return parser, sink


def feed(parser, data, step=0):
    """Feed `data` in chunks of `step` bytes (0: all at once)."""
    step = step or max(len(data), 1)
    for i in range(0, len(data), step):
        part = data[i : i + step]
        parser.feed(part, len(part))


def clean(parser):
    """Whether the stream stands between two lines: nothing has begun."""
    return parser.state == 0 and not parser.fill
