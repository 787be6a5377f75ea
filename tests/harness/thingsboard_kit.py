"""What the unit tests of lib/cloud/thingsboard share: a platform that takes everything and has one package, functions
that replace what it says, and sessions with it (plainpeer.py)."""

from cloud.thingsboard import Cloud
from harness.plainpeer import Platform, play

TOKEN = "A1B2C3D4E5F6G7H8I9J0"
CREATED, CONTENT, BAD, UNAUTHORIZED, NOT_FOUND, BROKEN = 0x41, 0x45, 0x80, 0x81, 0x84, 0xA0
IMAGE = bytes([(i * 7 + (i >> 8)) & 255 for i in range(5000)])
SHARED = {
    "fw_title": "app",
    "fw_version": "1.2",
    "fw_size": len(IMAGE),
    "fw_checksum_algorithm": "SHA256",
    "fw_checksum": "2639f4cb2639f4cb2639f4cb2639f4cb",
}
ID = "app/1.2/2639f4cb2639f4cb"


def created(seen):
    return CREATED, b""


def ok(seen):
    return CONTENT, b'{"shared":{"fw_title":"app"}}'


def code(number):
    return lambda seen: (number, b"")


def serve(image=IMAGE):
    """/fw as 1.10 describes it, silence behind the end included."""

    def chunk(seen):
        query = dict([item.decode().split("=", 1) for item in seen.values(15)])
        size, index = int(query["size"]), int(query["chunk"])
        part = image[size * index : size * index + size]
        return (CONTENT, part) if part else None

    return chunk


def platform(manner="con", **table):
    """A Platform that takes everything; `attributes`, `telemetry`, `posted`, `fw` replace one function each."""
    return Platform(
        {
            "GET api/v1/*/attributes": table.get("attributes", ok),
            "POST api/v1/*/attributes": table.get("posted", created),
            "POST api/v1/*/telemetry": table.get("telemetry", created),
            "GET fw/*": table.get("fw", serve()),
        },
        TOKEN,
        manner,
    )


def job(**changes):
    found = {"id": ID, "title": "app", "version": "1.2", "size": len(IMAGE)}
    found.update(changes)
    return found


def session(peer, verb, **how):
    how.setdefault("versions", {"cver": "1.1.0"})
    return play(Cloud, peer, verb, token=TOKEN, title="app", **how)
