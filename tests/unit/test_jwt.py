"""JWT: the exact bytes of a device token, foreign tokens put right, and what must be refused."""

import binascii
import hashlib
import json
import sys
import unittest

import es256
import jwt

_HEADER = b"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9"  # nrfcloud.md 3.1
_NOW = 1631470795


def _vector(name):
    with open("tests/data/es256_vectors.json") as file:
        return json.load(file)[name]


def _decode(part):
    part = part.replace(b"-", b"+").replace(b"_", b"/")
    return binascii.a2b_base64(part + b"=" * (-len(part) % 4))


def _fixed(digest):
    """A signer whose base64 holds both characters that differ between the alphabets."""
    return b"\xfb\xef\xff" * 21 + b"\xff"


class DeviceToken(unittest.TestCase):
    def test_parts(self):
        seen = []

        def signer(digest):
            seen.append(digest)
            return _fixed(digest)

        token = jwt.device_token(signer, "nrf-350457790000001", _NOW)
        header, claims, signature = token.split(b".")
        self.assertEqual(header, _HEADER)
        self.assertEqual(_decode(header), b'{"alg":"ES256","typ":"JWT"}')
        self.assertEqual(_decode(claims), b'{"sub":"nrf-350457790000001","exp":1631471395}')
        self.assertEqual(_decode(signature), _fixed(b""))
        self.assertEqual(len(signature), 86)
        self.assertEqual(seen, [hashlib.sha256(header + b"." + claims).digest()])
        for char in b"+/=\n":
            self.assertFalse(bytes((char,)) in token)

    def test_signed_by_key(self):
        vector = _vector("rfc6979_a25")
        token = jwt.device_token(jwt.KeySigner(bytes.fromhex(vector["key"])), "a", _NOW, 300)
        message, signature = token.rsplit(b".", 1)
        digest = hashlib.sha256(message).digest()
        self.assertTrue(es256.verify(bytes.fromhex(vector["public"]), digest, _decode(signature)))

    def test_key_signer_lets_es256_go(self):
        signer = jwt.KeySigner(b"\x01" * 32)
        mine = sys.modules.pop("es256")
        try:
            signer(bytes(32))
            self.assertFalse("es256" in sys.modules)
            self.assertRaises(ValueError, signer, bytes(31))
            self.assertFalse("es256" in sys.modules)
            sys.modules["es256"] = mine
            signer(bytes(32))  # loaded by somebody else: it stays
            self.assertTrue("es256" in sys.modules)
        finally:
            sys.modules["es256"] = mine

    def test_refused(self):
        for now, lifetime in ((None, 600), (1.6e9, 600), (_NOW, 0), (_NOW, -1), (_NOW, 604801)):
            self.assertRaises(jwt.JWTError, jwt.device_token, _fixed, "a", now, lifetime)
        self.assertRaises(jwt.JWTError, jwt.device_token, lambda digest: b"short", "a", _NOW)
        self.assertTrue(issubclass(jwt.JWTError, ValueError))

    def test_lifetime(self):
        for lifetime in (1, 600, 604800):
            self.assertEqual(jwt.claims(jwt.device_token(_fixed, "a", _NOW, lifetime))["exp"], _NOW + lifetime)


class Sign(unittest.TestCase):
    def test_order_and_escapes(self):
        claims = [("z", 1), ("a", -2), ("text", 'say "hi"\\'), ("list", ["x", "y"]), ("none", None), ("yes", True)]
        part = jwt.sign(_fixed, claims).split(b".")[1]
        self.assertEqual(
            _decode(part).replace(b", ", b","),
            b'{"z":1,"a":-2,"text":"say \\"hi\\"\\\\","list":["x","y"],"none":null,"yes":true}',
        )

    def test_large_integers_stay_exact(self):
        self.assertEqual(jwt.claims(jwt.sign(_fixed, {"iat": 9007199254740993})), {"iat": 9007199254740993})

    def test_no_floats(self):
        self.assertRaises(jwt.JWTError, jwt.sign, _fixed, {"exp": 1.5})

    def test_header(self):
        token = jwt.sign(_fixed, {}, header=(("typ", "JWT"), ("alg", "ES256"), ("kid", "ab")))
        self.assertEqual(_decode(token.split(b".")[0]), b'{"typ":"JWT","alg":"ES256","kid":"ab"}')
        self.assertEqual(_decode(token.split(b".")[1]), b"{}")


class Normalise(unittest.TestCase):
    def test_forms(self):
        for given, want in (
            ("aaa+.bb/b.cc-_", b"aaa-.bb_b.cc-_"),
            (b"YQ==.YWI=.YWJj", b"YQ.YWI.YWJj"),
            ("YQ.YWI.YWJj", b"YQ.YWI.YWJj"),
        ):
            self.assertEqual(jwt.normalise(given), want)
        vector = _vector("rfc7515_a3")
        padded = binascii.b2a_base64(bytes.fromhex(vector["signature"])).decode().strip()
        token = jwt.normalise(vector["input"] + "." + padded)
        self.assertEqual(
            token.rsplit(b".", 1)[1],
            b"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        )
        self.assertEqual(
            jwt.claims(token), {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
        )

    def test_refused(self):
        for bad in (
            "",
            "..",
            "YQ.YWI",
            "YQ.YWI.YWJj.YQ",
            "YQ.YWI.",
            "YQ.Y.YWJj",
            "YQ.Y WI.YWJj",
            "YQ.Y\u00fcI.YWJj",
            "Y=Q.YWI.YWJj",
            "ERROR",
            "a" * 3000 + ".YQ.YQ",
        ):
            with self.subTest(token=bad[:20]):
                self.assertRaises(jwt.JWTError, jwt.normalise, bad)


class Claims(unittest.TestCase):
    def _token(self, payload):
        return b"e30." + binascii.b2a_base64(payload).rstrip(b"=\n") + b".AAAA"

    def test_refused(self):
        # MicroPython's json takes "{" for {}: only what both refuse, or what is no object, is listed here.
        for payload in (b"null", b"[1]", b"7", b"nope", b'{"a":x}', b"\xff\xfe\xfd", b'"\xc3"', b"[" * 900):
            with self.subTest(payload=payload):
                self.assertRaises(jwt.JWTError, jwt.claims, self._token(payload))

    def test_identity_of_a_modem_token(self):
        """nrfcloud.md 3.2: the device UUID follows the first dot of `iss`."""
        uuid = "50363154-3930-44f0-80d2-a32ab5d8c3b2"
        payload = b'{"iss":"nRF9160.' + uuid.encode() + b'","jti":"nRF9160.x","iat":1,"exp":2}'
        self.assertEqual(jwt.claims(self._token(payload))["iss"].split(".", 1)[1], uuid)


if __name__ == "__main__":
    unittest.main()
