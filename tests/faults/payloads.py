"""What the campaign's images hold, the same for the host and the devices; deflated by the host, which alone can.

Sizes are those of facts/fota.md 2.3 (10,583 bytes in 4 files, 61,741 in 8); content that deflates to about 0.6, as
.mpy files do, and differs from file to file and from image to image.
"""

import os
from binascii import hexlify
from hashlib import sha256

SMALL = (("app.mpy", 6000), ("lib/one.mpy", 500), ("lib/two.mpy", 4000), ("tasks/three.mpy", 83))
BIG = (("app.mpy", 9000), ("lib/a.mpy", 4096), ("lib/b.mpy", 15000), ("lib/c.mpy", 60), ("lib/d.mpy", 12288),
       ("lib/e.mpy", 8000), ("tasks/f.mpy", 12000), ("tasks/g.mpy", 1297))  # fmt: skip
SIZES = {"small": SMALL, "big": BIG}
WINDOW = 11


def code(name, size):
    """Something that looks like a .mpy file of bytecode."""
    seed = sha256(name.encode()).digest()
    parts = [b"M\x06\x00\x1f"]
    while len(parts) * 64 < size + 64:
        seed = sha256(seed).digest()
        parts.append(hexlify(seed))
    return b"".join(parts)[:size]


def files(size, which):
    """-> [(path, content)] of the image `which` ("old", "new") in a size of SIZES."""
    return [(path, code(which + path, n)) for path, n in SIZES[size]]


def write(folder):
    """The host: deflate the new images into `folder`."""
    import zlib

    for size in SIZES:
        packer = zlib.compressobj(9, zlib.DEFLATED, -WINDOW)
        content = b"".join(content for _, content in files(size, "new"))
        with open(f"{folder}/{size}", "wb") as file:
            file.write(packer.compress(content) + packer.flush())


def deflated(size):
    """The device: the new image in a size of SIZES, as write() left it in the folder $GODWIT_PAYLOADS."""
    with open(os.getenv("GODWIT_PAYLOADS") + "/" + size, "rb") as file:
        return file.read()
