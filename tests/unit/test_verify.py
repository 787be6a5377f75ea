"""lib/fota/verify: PSS signatures made by two other implementations, and everything that must not pass for one."""

import json
import unittest
from hashlib import sha256

from fota.verify import pss_verify
from harness.fota_kit import data_file
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
        valid = [v["name"] for v in _DATA["vectors"] if v["valid"]]
        self.assertEqual((len(valid), len(_DATA["vectors"])), (4, 14))


class HostileTest(unittest.TestCase):
    def setUp(self):
        vector = _DATA["vectors"][0]
        self.digest = sha256(bytes.fromhex(vector["message"])).digest()
        self.signature = bytes.fromhex(vector["signature"])

    def test_flipped_bits(self):
        rng = Rng(seed(1234))
        for _ in range(40):
            bad = bytearray(self.signature)
            bad[rng.below(len(bad))] ^= 1 << rng.below(8)
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
