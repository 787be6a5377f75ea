"""ES256: published vectors, keys in every form they come in, and signatures that must not pass."""

import hashlib
import json
import unittest

import es256
from harness.rng import Rng, seed

_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF


def _data(name):
    with open("tests/data/es256_%s.json" % name) as file:
        return json.load(file)


def _digest(text):
    return hashlib.sha256(text.encode()).digest()


def _int(n):
    return n.to_bytes(32, "big")


class Vectors(unittest.TestCase):
    def test_rfc_6979(self):
        """A.2.5, the SHA-256 rows: key pair and both signatures."""
        vector = _data("vectors")["rfc6979_a25"]
        key = bytes.fromhex(vector["key"])
        public = bytes.fromhex(vector["public"])
        self.assertEqual(es256.public_key(key), public)
        for text, signature in vector["signatures"].items():
            self.assertEqual(es256.sign(key, _digest(text)).hex(), signature)
            self.assertTrue(es256.verify(public, _digest(text), bytes.fromhex(signature)))

    def test_rfc_7515(self):
        """A.3: a signature that somebody else made with a random nonce."""
        vector = _data("vectors")["rfc7515_a3"]
        public = bytes.fromhex(vector["public"])
        self.assertEqual(es256.public_key(bytes.fromhex(vector["key"])), public)
        signature = bytes.fromhex(vector["signature"])
        self.assertTrue(es256.verify(public, _digest(vector["input"]), signature))
        self.assertTrue(es256.verify(b"\x04" + public, _digest(vector["input"]), signature))
        self.assertFalse(es256.verify(public, _digest(vector["input"] + "x"), signature))

    def test_public_keys(self):
        """Corners of the comb and of the group order, and random keys, as OpenSSL computes them."""
        for key, public in _data("vectors")["public_keys_by_openssl"].items():
            with self.subTest(key=key):
                self.assertEqual(es256.public_key(bytes.fromhex(key)).hex(), public)


class Sign(unittest.TestCase):
    def test_sign_verify(self):
        rng = Rng(seed(11))
        for _ in range(6):
            key = es256.load_private_key(rng.bytes(32))
            digest = rng.bytes(32)
            signature = es256.sign(key, digest)
            self.assertEqual(len(signature), 64)
            self.assertEqual(es256.sign(key, digest), signature)
            self.assertTrue(es256.verify(es256.public_key(key), digest, signature))

    def test_digests_at_the_edges(self):
        key = _int(_N - 5)
        public = es256.public_key(key)
        for digest in (bytes(32), b"\xff" * 32, _int(_N), _int(_N - 1), _int(1)):
            self.assertTrue(es256.verify(public, digest, es256.sign(key, digest)))

    def test_lengths(self):
        self.assertRaises(ValueError, es256.sign, bytes(31), bytes(32))
        self.assertRaises(ValueError, es256.sign, b"\x01" * 32, bytes(20))


class Verify(unittest.TestCase):
    def setUp(self):
        vector = _data("vectors")["rfc6979_a25"]
        self.public = bytes.fromhex(vector["public"])
        self.digest = _digest("sample")
        self.signature = bytes.fromhex(vector["signatures"]["sample"])

    def test_one_bit_wrong(self):
        rng = Rng(seed(5))
        for part in range(3):
            for _ in range(4):
                parts = [bytearray(self.public), bytearray(self.digest), bytearray(self.signature)]
                parts[part][rng.below(len(parts[part]))] ^= 1 << rng.below(8)
                self.assertFalse(es256.verify(*[bytes(p) for p in parts]))

    def test_numbers_out_of_range(self):
        r, s = self.signature[:32], self.signature[32:]
        for bad in (
            bytes(32) + s,
            r + bytes(32),
            bytes(64),
            _int(_N) + s,
            r + _int(_N),
            r + _int((int.from_bytes(s, "big") + _N) & ((1 << 256) - 1)),
            b"\xff" * 64,
            s + r,
        ):
            self.assertFalse(es256.verify(self.public, self.digest, bad))

    def test_both_signs_of_s(self):
        """ECDSA takes (r, -s) too; JWS does not forbid it."""
        s = int.from_bytes(self.signature[32:], "big")
        self.assertTrue(es256.verify(self.public, self.digest, self.signature[:32] + _int(_N - s)))

    def test_points_off_the_curve(self):
        x, y = self.public[:32], self.public[32:]
        for bad in (bytes(64), y + x, x + x, b"\xff" * 64, _int(_P) + y, x + _int(_P - int.from_bytes(y, "big"))):
            self.assertFalse(es256.verify(bad, self.digest, self.signature))

    def test_shapes(self):
        for public, digest, signature in (
            (self.public[:63], self.digest, self.signature),
            (b"\x05" + self.public, self.digest, self.signature),
            (b"", self.digest, self.signature),
            (self.public, self.digest[:31], self.signature),
            (self.public, self.digest, self.signature + b"\x00"),
            (self.public, self.digest, b""),
        ):
            self.assertFalse(es256.verify(public, digest, signature))

    def test_signature_at_infinity(self):
        """u1 * G + u2 * Q = infinity for s free, r = -z / d: no signature, and no exception."""
        d = int.from_bytes(bytes.fromhex(_data("vectors")["rfc6979_a25"]["key"]), "big")
        z = int.from_bytes(self.digest, "big")
        r = -z * pow_mod(d, _N - 2, _N) % _N
        self.assertFalse(es256.verify(self.public, self.digest, _int(r) + _int(7)))

    def test_s_beyond_the_order(self):
        """A signature with s = 7, made by choosing the digest: s + n is the same residue and must not pass."""
        d = int.from_bytes(bytes.fromhex(_data("vectors")["rfc6979_a25"]["key"]), "big")
        nonce = _int(123456789)
        r = int.from_bytes(es256.public_key(nonce)[:32], "big") % _N
        digest = _int((7 * 123456789 - r * d) % _N)
        self.assertTrue(es256.verify(self.public, digest, _int(r) + _int(7)))
        self.assertFalse(es256.verify(self.public, digest, _int(r) + _int(7 + _N)))

    def test_forgeries_with_a_point_off_the_curve(self):
        """For digest 0 and r = s = x(Q) the equation holds for any Q; only the check of Q stands in the way."""
        x = 5
        y = _root(x)
        while y * y % _P != _curve(x):
            x += 1
            y = _root(x)
        signature = _int(x) + _int(x)
        self.assertTrue(es256.verify(_int(x) + _int(y), bytes(32), signature))
        self.assertFalse(es256.verify(_int(x) + _int(y + 1), bytes(32), signature))
        self.assertFalse(es256.verify(_int(x + _P) + _int(y), bytes(32), signature))  # not reduced

    def test_key_equal_to_the_base_point(self):
        """Q = G and Q = -G make the sums inside Shamir's trick double or vanish."""
        for d in (1, _N - 1, 2):
            key = _int(d)
            self.assertTrue(es256.verify(es256.public_key(key), self.digest, es256.sign(key, self.digest)))
            self.assertFalse(es256.verify(es256.public_key(key), self.digest, self.signature))


def _curve(x):
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    return (x * x * x - 3 * x + b) % _P


def _root(x):
    """A y for x, if there is one (p is 3 modulo 4)."""
    return pow_mod(_curve(x), (_P + 1) // 4, _P)


def pow_mod(base, exponent, modulus):
    """3-argument pow, which small ports lack."""
    result = 1
    while exponent:
        if exponent & 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent >>= 1
    return result


class Keys(unittest.TestCase):
    def setUp(self):
        self.data = _data("keys")
        self.secret = bytes.fromhex(self.data["secret"])

    def test_der(self):
        for name, text in self.data["good"].items():
            with self.subTest(name=name):
                self.assertEqual(es256.load_private_key(bytes.fromhex(text)), self.secret)
                self.assertEqual(es256.load_private_key(bytearray(bytes.fromhex(text))), self.secret)

    def test_hex(self):
        text = self.data["secret"]
        for form in (text, text.upper(), text.encode()):
            self.assertEqual(es256.load_private_key(form), self.secret)

    def test_pem(self):
        for name, text in self.data["pem"].items():
            with self.subTest(name=name):
                for form in (text, text.encode(), text.replace("\n", "\r\n"), "# our key\n" + text):
                    self.assertEqual(es256.load_private_key(form), self.secret)

    def test_refused(self):
        for name, text in self.data["bad"].items():
            with self.subTest(name=name):
                self.assertRaises(es256.KeyFormatError, es256.load_private_key, bytes.fromhex(text))
        for name, text in self.data["bad_pem"].items():
            with self.subTest(name=name):
                self.assertRaises(es256.KeyFormatError, es256.load_private_key, text)
        for junk in ("", b"", "key", "x" * 64, b"0" * 33, "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----"):
            self.assertRaises(es256.KeyFormatError, es256.load_private_key, junk)
        self.assertTrue(issubclass(es256.KeyFormatError, ValueError))

    def test_truncated_or_damaged(self):
        """Every truncation is refused; a damaged key is refused or is 32 bytes, but never another exception."""
        rng = Rng(seed(17))
        for text in self.data["good"].values():
            der = bytes.fromhex(text)
            for size in range(len(der)):
                if size not in (32, 64):  # those are the lengths of other forms
                    self.assertRaises(es256.KeyFormatError, es256.load_private_key, der[:size])
            for _ in range(100):
                damaged = bytearray(der)
                damaged[rng.below(len(der))] = rng.bits(8)
                try:
                    self.assertEqual(len(es256.load_private_key(damaged)), 32)
                except es256.KeyFormatError:
                    pass


if __name__ == "__main__":
    unittest.main()
