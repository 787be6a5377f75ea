"""ES256: ECDSA on P-256 with SHA-256 (FIPS 186-5, RFC 6979 nonces, RFC 7515 signatures of 64 bytes r || s).

For the cloud login of nodes whose modem or secure element cannot sign; called through jwt.KeySigner. One
signature takes 1 ms on a desk and 0.2 to 0.7 s on a board, without yielding. Owns 960 B of tables.
NOT constant time, which big integers in Python cannot be: whoever times many signatures to the microsecond, or
reads power traces, learns the key. Against such neighbours keep the key in the modem or a secure element.
"""

import hashlib

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

_CURVE = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"  # DER: OID prime256v1
_ALGORITHM = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01" + _CURVE  # DER: ecPublicKey on that curve

# Comb of the base point G: entry i - 1 is the affine x || y of the sum of 2**(64 * j) * G over the bits j of i.
# As bytes it costs 960 B of heap; as integers, or computed at first use, twice that and a signature's time.
_COMB = (
    b"\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb"
    b"\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a"
    b"\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5",
    b"\x0f\xa8\x22\xbc\x28\x11\xaa\xa5\x84\x92\x59\x2e\x32\x6e\x25\xde\x29\x49\x3b\xaa\xad\x65"
    b"\x1f\x7e\x90\xe7\x5c\xb4\x8e\x14\xdb\x63\xbf\xf4\x4a\xe8\xf5\xdb\xa8\x0d\x6f\x4a\xd4\xbc"
    b"\xb3\xdf\x18\x8b\x34\xb1\xa6\x50\x50\xfe\x82\xf5\xe4\x11\x24\x54\x5f\x46\x2e\xe7",
    b"\x30\x0a\x4b\xbc\x89\xd6\x72\x6f\xb2\x57\xc0\xde\x95\xe0\x27\x89\xe9\x6c\x98\xfd\x0d\x35"
    b"\xf1\xfa\x93\x39\x1c\xe2\x09\x79\x92\xaf\x72\xaa\xc7\xe0\xd0\x9b\x46\x44\x7f\x1d\xdb\x25"
    b"\xff\x1e\x3c\x6f\x5b\xb1\xee\xad\xa9\xd8\x06\xa5\xaa\x54\xa2\x91\xc0\x81\x27\xa0",
    b"\x44\x7d\x73\x9b\xee\xdb\x5e\x67\xfb\x98\x2f\xd5\x88\xc6\x76\x6e\xfc\x35\xff\x7d\xc2\x97"
    b"\xea\xc3\x57\xc8\x4f\xc9\xd7\x89\xbd\x85\x2d\x48\x25\xab\x83\x41\x31\xee\xe1\x2e\x9d\x95"
    b"\x3a\x4a\xaf\xf7\x3d\x34\x9b\x95\xa7\xfa\xe5\x00\x0c\x7e\x33\xc9\x72\xe2\x5b\x32",
    b"\xef\x95\x19\x32\x8a\x9c\x72\xff\xdd\xc6\x06\x8b\xb9\x1d\xfc\x60\xef\x7f\xbd\x2b\x1a\x0a"
    b"\x11\xb7\x13\x94\x9c\x93\x2a\x1d\x36\x7f\x61\x1e\x9f\xc3\x7d\xbb\x2c\x9b\xc1\xee\x98\x07"
    b"\x02\x2c\x21\x9c\x23\x18\x3b\x08\x95\xca\x17\x40\x19\x60\x35\xa7\x73\x76\xd8\xa8",
    b"\x55\x06\x63\x79\x7b\x51\xf5\xd8\x7d\xea\x64\x82\xe1\x12\x38\xbf\x29\x36\xdf\x5e\xc6\xc9"
    b"\xbc\x36\xca\xe2\xb1\x92\x0b\x57\xf4\xbc\x15\x71\x64\x84\x8a\xec\xb8\x51\x0a\xfa\x40\x01"
    b"\x8d\x9d\x50\xe5\x9f\xb3\xd5\x76\xdb\xde\xfb\xe1\x44\xff\xe2\x16\x34\x8a\x96\x4c",
    b"\xeb\x5d\x77\x45\xb2\x11\x41\xea\xa2\xe8\xf4\x83\xf4\x3e\x43\x91\x7c\xcd\x84\xe7\x0d\x71"
    b"\x5f\x26\xe4\x8e\xca\xff\xfc\x5c\xde\x01\xea\xfd\x72\xeb\xdb\xec\xc1\x7b\x09\x90\xe6\xa1"
    b"\x58\x00\x6c\xee\x85\xf2\x2c\xfe\x28\x44\xb6\x45\xca\xc9\x17\xe2\x73\x1a\x34\x79",
    b"\xa6\xd3\x96\x77\xa7\x84\x92\x76\x27\x36\xff\x83\x44\x31\x5f\xc5\x96\x43\x95\x91\xa3\xc6"
    b"\xb9\x4a\x6c\xf2\x0f\xfb\x31\x37\x28\xbe\x67\x4f\x84\x74\x9b\x0b\x88\x16\x66\xb8\xba\xbd"
    b"\x2d\x27\xec\xdf\x82\x4a\x92\x0c\x22\x84\x05\x9b\xf2\xba\xb8\x33\xc3\x57\xf5\xf4",
    b"\x4e\x76\x9e\x76\x72\xc9\xdd\xad\x31\x85\x5f\x7d\xb8\xc7\xfe\xdb\x74\xe0\x2f\x08\x02\x03"
    b"\xa5\x6b\x2d\xf4\x8c\x04\x67\x7c\x8a\x3e\x42\xb9\x90\x82\xde\x83\x06\x63\x1e\xc0\x05\x72"
    b"\x06\x94\x72\x81\xfb\x9a\xe1\x6f\x3b\x91\x22\xa5\xa4\xc3\x61\x65\xb8\x24\xbb\xb0",
    b"\x78\x87\x8e\xf6\x1c\x6c\xe0\x4d\x7f\xdc\x1c\xa0\x08\xa1\xc4\x78\xd1\xf8\x9e\x79\x9c\x0c"
    b"\xe1\x31\x6e\xf9\x51\x50\xdd\xa8\x68\xb9\xb6\xcb\x3f\x5d\x7b\x72\xc3\x21\xde\x53\x14\x2c"
    b"\x12\x30\x9d\xef\x6a\xce\x57\x0e\xbd\xe0\x8d\x4f\x9c\x62\xb9\x12\x1f\xe0\xd9\x76",
    b"\x0c\x88\xbc\x4d\x71\x6b\x12\x87\x59\x5c\x52\x20\x81\x2f\xfc\xae\x5b\x82\xdd\x5b\xd5\x4f"
    b"\xb4\x96\x7f\x99\x1e\xd2\xc3\x1a\x35\x73\xdd\x5d\xde\xa3\xf3\x90\x1d\xc6\x18\xd1\xb5\xb3"
    b"\x9c\x04\xe6\xaa\x7c\x81\x81\xf4\xdf\x25\x64\xf3\x3a\x57\xbf\x63\x5f\x48\xac\xa8",
    b"\x68\xf3\x44\xaf\x6b\x31\x74\x66\xef\xe0\xa4\x23\x08\x3e\x49\xf3\x43\xa0\xa2\x8c\x42\xba"
    b"\x79\x2f\xe9\x6a\x79\xfb\x3e\x72\xad\x0c\x31\xb9\xc4\x05\xf8\x54\x0a\x20\x60\x4e\xd9\x3c"
    b"\x24\xd6\x7f\xf3\x66\x8b\xfc\x22\x71\xf5\xc6\x26\xcd\xfe\x17\xdb\x3f\xb2\x4d\x4a",
    b"\x40\x52\xbf\x4b\x6f\x46\x1d\xb9\x66\x3c\x62\xc3\xed\xba\xd7\xa0\x0d\x1a\x10\x14\x4e\xc3"
    b"\x9c\x28\xd3\x6b\x47\x89\xa2\x58\x2e\x7f\xfe\xcf\x4d\x51\x90\xb0\xfc\x61\x86\x2b\xe6\xbd"
    b"\x71\xd7\x0c\xc8\xe7\x24\xf3\x39\x99\xbf\xcc\x5b\x23\x5a\x27\xc3\x18\x8d\x25\xeb",
    b"\x1e\xdd\xba\xe2\xc8\x02\xe4\x1a\x12\x32\x02\xa8\xf6\x2b\xff\x7a\xaf\xdf\x5c\xc0\x85\x26"
    b"\xa7\xa4\x74\x34\x6c\x10\xa1\xd4\xcf\xac\x43\x10\x4d\x86\x56\x0e\xbc\xfc\x0c\x45\xf4\x52"
    b"\x73\xdb\x33\xa0\x36\xe0\x6b\x7e\x4c\x70\x19\x17\x8f\xa0\xaf\x2d\xd6\x03\xf8\x44",
    b"\xb4\x8e\x26\xb4\x84\xf7\xa2\x1c\x0a\x4a\x46\xfb\x6a\xaf\x36\x3a\x66\xb0\xde\x32\x25\xc4"
    b"\x74\x4b\x96\x15\xb5\x11\x0d\x1d\x78\xe5\xfa\xc0\x15\x40\x4d\x4d\x3d\xab\x64\x13\x1b\xcd"
    b"\xfe\xd6\xf6\x68\xc0\x04\xe4\x04\x8b\x7b\x0f\x98\x06\xeb\xb0\xf6\x21\xa0\x1b\x2d",
)


class KeyFormatError(ValueError):
    """Not a P-256 private key in any of the forms that load_private_key takes."""


def load_private_key(data):
    """-> the 32-byte secret of the P-256 private key `data`: 32 raw bytes, 64 hex digits, or PKCS #8 or SEC 1 in
    DER or PEM; str or bytes, not encrypted. Raises KeyFormatError."""
    if isinstance(data, str):
        data = data.encode()
    if len(data) == 64:
        data = _unhex(data)
    elif len(data) != 32:
        data = bytes(data)
        data = _secret(_unarmour(data) if b"-----BEGIN " in data else data)
    if not 0 < int.from_bytes(data, "big") < _N:
        raise KeyFormatError("secret outside 1 .. n - 1")
    return bytes(data)


def _unhex(data):
    import binascii

    try:
        return binascii.unhexlify(data)
    except ValueError:  # binascii.Error is one
        raise KeyFormatError("bad hex digits")


def _unarmour(data):
    """-> the DER inside the private key block of a PEM file (`openssl ecparam` puts parameters before it)."""
    import binascii

    for label in (b" PRIVATE KEY-----", b" EC PRIVATE KEY-----"):
        start = data.find(b"-----BEGIN" + label)
        end = data.find(b"-----END" + label)
        if 0 <= start < end:
            try:
                return binascii.a2b_base64(data[start + 10 + len(label) : end])
            except ValueError:
                break
    raise KeyFormatError("no readable private key in this PEM file")


def _secret(der):
    """-> the 32 bytes out of a DER ECPrivateKey (RFC 5915), bare or inside PKCS #8 (RFC 5958)."""
    pos, end = _open(der, 0, len(der), 0x30)
    version, after = _open(der, pos, end, 0x02)
    if der[after : after + len(_ALGORITHM)] == _ALGORITHM:
        pos, end = _open(der, after + len(_ALGORITHM), end, 0x04)
        pos, end = _open(der, pos, end, 0x30)
        version, after = _open(der, pos, end, 0x02)
    if der[version:after] != b"\x01":
        raise KeyFormatError("not an EC private key")
    pos, after = _open(der, after, end, 0x04)
    if after - pos != 32:
        raise KeyFormatError("not a 256-bit key")
    if after < end and der[after] == 0xA0:
        start, stop = _open(der, after, end, 0xA0)
        if der[start:stop] != _CURVE:
            raise KeyFormatError("not on P-256")
    return der[pos:after]


def _open(der, pos, end, tag):
    """-> (start, end) of the contents of the element with `tag` at `pos`, which must lie before `end`."""
    if pos + 2 > end or der[pos] != tag:
        raise KeyFormatError("not an EC private key")
    size = der[pos + 1]
    pos += 2
    if size == 0x81 and pos < end:
        size = der[pos]
        pos += 1
    elif size >= 0x80:  # no key of this size needs longer lengths
        raise KeyFormatError("not an EC private key")
    if pos + size > end:
        raise KeyFormatError("truncated key")
    return pos, pos + size


def public_key(key):
    """-> the public key of the 32-byte secret `key` as 64 bytes x || y."""
    return _bytes64(*_affine(_times_g(key)))


def sign(key, digest):
    """-> the 64-byte signature r || s of the 32-byte SHA-256 `digest` with the 32-byte secret `key`."""
    if len(key) != 32 or len(digest) != 32:
        raise ValueError("key and digest are 32 bytes each")
    secret = int.from_bytes(key, "big")
    z = int.from_bytes(digest, "big") % _N
    seed = bytes(key) + z.to_bytes(32, "big")
    k = b"\x00" * 32
    v = b"\x01" * 32
    for mark in (b"\x00", b"\x01"):  # RFC 6979, 3.2 d to g
        k = _hmac(k, v + mark + seed)
        v = _hmac(k, v)
    while True:
        v = _hmac(k, v)
        nonce = int.from_bytes(v, "big")
        if 0 < nonce < _N:
            r = _affine(_times_g(v))[0] % _N
            s = _inverse(nonce, _N) * (z + r * secret) % _N
            if r and s:
                return _bytes64(r, s)
        k = _hmac(k, v + b"\x00")
        v = _hmac(k, v)


def verify(public, digest, signature):
    """Whether `signature` (r || s) of the 32-byte `digest` was made by the owner of `public`.

    `public` is 64 bytes x || y, or 65 with the 04 of an uncompressed point. False for anything malformed."""
    if len(public) == 65 and public[0] == 4:
        public = public[1:]
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        return False
    x, y = _pair(public, 0)
    r, s = _pair(signature, 0)
    if x >= _P or y >= _P or (x * x * x - 3 * x + _B - y * y) % _P or not 0 < r < _N or not 0 < s < _N:
        return False
    w = _inverse(s, _N)
    point = _sum(int.from_bytes(digest, "big") * w % _N, r * w % _N, x, y)
    return point is not None and _affine(point)[0] % _N == r


def _hmac(key, message):
    """HMAC-SHA256 (RFC 2104) with a 32-byte key; MicroPython has no hmac module."""
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + b"\x36" * 32)
    inner.update(message)
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in key) + b"\x5c" * 32)
    outer.update(inner.digest())
    return outer.digest()


def _pair(buf, pos):
    return int.from_bytes(buf[pos : pos + 32], "big"), int.from_bytes(buf[pos + 32 : pos + 64], "big")


def _bytes64(a, b):
    return a.to_bytes(32, "big") + b.to_bytes(32, "big")


def _inverse(a, m):
    """a**-1 modulo the prime m (Euclid); 3-argument pow is missing on small ports."""
    low, high = a % m, m
    s, t = 1, 0
    while low > 1:
        q = high // low
        high, low = low, high - q * low
        t, s = s, t - q * s
    return s % m


# Points are Jacobian (X, Y, Z) with x = X / Z**2, y = Y / Z**3; None is the point at infinity.


def _double(point):
    if point is None:
        return None
    x, y, z = point
    zz = z * z % _P
    yy = y * y % _P
    beta = x * yy % _P
    alpha = 3 * (x - zz) * (x + zz) % _P  # the curve's a is -3
    x3 = (alpha * alpha - 8 * beta) % _P
    return x3, (alpha * (4 * beta - x3) - 8 * yy * yy) % _P, 2 * y * z % _P


def _add(point, x2, y2):
    """point + the affine (x2, y2)."""
    if point is None:
        return x2, y2, 1
    x, y, z = point
    zz = z * z % _P
    h = (x2 * zz - x) % _P
    r = (y2 * zz * z - y) % _P
    if not h:
        return None if r else _double(point)
    hh = h * h % _P
    v = x * hh % _P
    hh = hh * h % _P
    x3 = (r * r - hh - 2 * v) % _P
    return x3, (r * (v - x3) - y * hh) % _P, z * h % _P


def _affine(point):
    x, y, z = point
    z = _inverse(z, _P)
    zz = z * z % _P
    return x * zz % _P, y * zz * z % _P


def _times_g(scalar):
    """scalar (32 bytes, big endian, 1 .. n - 1) times G: one doubling for every four bits."""
    point = None
    for i in range(63, -1, -1):
        byte = 31 - (i >> 3)
        bit = i & 7
        entry = (scalar[byte] >> bit & 1) | (scalar[byte - 8] >> bit & 1) << 1
        entry |= (scalar[byte - 16] >> bit & 1) << 2 | (scalar[byte - 24] >> bit & 1) << 3
        point = _double(point)
        if entry:
            point = _add(point, *_pair(_COMB[entry - 1], 0))
    return point


def _sum(u, v, x, y):
    """u * G + v * (x, y), both at once (Shamir's trick)."""
    g = _pair(_COMB[0], 0)
    both = _add((x, y, 1), *g)
    table = (None, g, (x, y), both and _affine(both))
    point = None
    for i in range(255, -1, -1):
        point = _double(point)
        entry = table[(u >> i & 1) | (v >> i & 1) << 1]
        if entry:
            point = _add(point, *entry)
    return point
