"""lib/fota/verify: PSS signatures made by two other implementations, and everything that must not pass for one."""

import json
import os
import unittest
from hashlib import sha256

from fota.verify import pss_verify
from harness.fota_kit import KEY, data_file
from harness.rng import Rng, seed

_DATA = json.loads(data_file("fota_rsa.json"))
_N = bytes.fromhex(_DATA["key"]["n"])


class VectorTest(unittest.TestCase):
    def test_vectors(self):
        for vector in _DATA["vectors"]:
            with self.subTest(name=vector["name"]):
                modulus = _N if vector["modulus"] == "own" else bytes.fromhex(vector["modulus"])
                digest = sha256(bytes.fromhex(vector["message"])).digest()
                got = pss_verify(modulus, digest, bytes.fromhex(vector["signature"]))
                self.assertEqual(got, vector["valid"])

    def test_every_kind_of_vector_is_there(self):
        names = " ".join(v["name"] for v in _DATA["vectors"] if not v["valid"])
        for word in ("openssl dgst, salt 20", "salt of maximum", "salt max", "PKCS1", "MGF1 sha1", "MGF1 sha384",
                     "digest sha512", "truncated", "one byte longer", "another key", "zero in front"):  # fmt: skip
            self.assertTrue(word in names, word)
        self.assertEqual((len(_DATA["vectors"]), sum(v["valid"] for v in _DATA["vectors"])), (42, 7))


class EncodingTest(unittest.TestCase):
    """Every clause of EMSA-PSS-VERIFY (RFC 8017 9.1.2), by encodings that only the owner of the key can make."""

    digest = sha256(b"manifest").digest()

    def verdict(self, db=None, trailer=0xBC, h=None, top=0, unmask=0x7F):
        """pss_verify() of an encoded message with this data block, hash, trailer, and first byte or-ed with `top`."""
        salt = b"\x55" * 32
        if db is None:
            db = bytes(318) + b"\x01" + salt
        if h is None:
            h = sha256(bytes(8) + self.digest + db[-32:]).digest()
        masked = bytearray(db)
        for i in range(len(masked)):
            masked[i] ^= sha256(h + (i // 32).to_bytes(4, "big")).digest()[i % 32]
        masked[0] = masked[0] & unmask | top
        em = int.from_bytes(bytes(masked) + h + bytes([trailer]), "big")
        if em >= int.from_bytes(KEY.modulus, "big"):
            return None
        return pss_verify(KEY.modulus, self.digest, KEY.power(em))

    def test_the_right_one(self):
        self.assertEqual(self.verdict(), True)

    def test_trailer(self):
        for trailer in (0xBD, 0x3C, 0xCC):
            self.assertEqual(self.verdict(trailer=trailer), False)

    def test_the_bit_that_must_be_zero(self):
        self.assertTrue(self.verdict(top=0x80) is not True)

    def test_padding(self):
        salt = b"\x55" * 32
        for at in (1, 31, 32, 317):
            bad = bytearray(bytes(318) + b"\x01" + salt)
            bad[at] = 1
            self.assertEqual(self.verdict(bytes(bad)), False)
        for separator in (0, 2, 0x81):
            self.assertEqual(self.verdict(bytes(318) + bytes([separator]) + salt), False)

    def test_salts_of_other_lengths(self):
        for n in (0, 31, 33, 318):
            salt = b"\x55" * n
            h = sha256(bytes(8) + self.digest + salt).digest()
            self.assertEqual(self.verdict(bytes(350 - n) + b"\x01" + salt, h=h), False)

    def test_hashes_of_something_else(self):
        salt = b"\x55" * 32
        for message in (self.digest + salt, bytes(8) + sha256(b"other").digest() + salt, bytes(7) + self.digest + salt,
                        bytes(8) + self.digest + bytes(32), bytes(8) + salt + self.digest):  # fmt: skip
            self.assertEqual(self.verdict(h=sha256(message).digest()), False)


class HostileTest(unittest.TestCase):
    def setUp(self):
        vector = _DATA["vectors"][0]
        self.digest = sha256(bytes.fromhex(vector["message"])).digest()
        self.signature = bytes.fromhex(vector["signature"])

    def test_flipped_bits(self):
        """40 of the 3,072 bits, all of them with GODWIT_CAMPAIGN=full."""
        rng = Rng(seed(1234))
        full = os.getenv("GODWIT_CAMPAIGN") == "full"
        for i in range(3072 if full else 40):
            bit = i if full else rng.below(3072)
            bad = bytearray(self.signature)
            bad[bit // 8] ^= 1 << bit % 8
            self.assertEqual(pss_verify(_N, self.digest, bytes(bad)), False)
            bad = bytearray(self.digest)
            bad[rng.below(len(bad))] ^= 1 << rng.below(8)
            self.assertEqual(pss_verify(_N, bytes(bad), self.signature), False)

    def test_wrong_lengths_and_trivial_numbers(self):
        one = bytes(383) + b"\x01"
        n_less_one = (int.from_bytes(_N, "big") - 1).to_bytes(384, "big")
        s_plus_n = int.from_bytes(self.signature, "big") + int.from_bytes(_N, "big")
        for bad in (b"", self.signature[:-1], b"\0" + self.signature, self.signature + b"\0", bytes(384), one,
                    _N, n_less_one, b"\xff" * 384, s_plus_n.to_bytes(385, "big")):  # fmt: skip
            self.assertEqual(pss_verify(_N, self.digest, bad), False)

    def test_useless_keys(self):
        for bad in (b"", b"\x01", b"\0" + _N, b"\x7f" + _N[1:], bytes(384)):
            self.assertEqual(pss_verify(bad, self.digest, self.signature), False)


if __name__ == "__main__":
    unittest.main()
