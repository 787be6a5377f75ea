"""lib/fota/manifest: what a node takes for an image, and every reason why it does not (facts/fota.md 5.2 row I1)."""
# interpreters: mp64 mp32 cpython
# (4 s each, and no number in it is a float)

import io
import unittest
from hashlib import sha256

from fota import ManifestError
from fota import manifest as mf
from harness.fota_kit import CLASS, KEY, bundle, code, fields, manifest_bytes, seal
from harness.rng import Rng, seed

_FILES = [("app.mpy", code("app", 5000)), ("lib/util.mpy", code("util", 700)), ("note.txt", b"hello")]


def _load(image, keys=(KEY.modulus,)):
    header = mf.parse_header(image)
    return _open(header, image[: header.head_size], keys)


def _open(header, head, keys):
    source = io.BytesIO(head)
    work = memoryview(bytearray(mf.WORK))
    mf.unseal(header, source, keys, work)
    return mf.load(header, source, work)


def _with(**changes):
    """Manifest of bytes that are not signed: everything behind the signature check."""
    values = fields(_FILES)
    for name, value in changes.items():
        values[int(name[1:])] = value
    raw = manifest_bytes(values)
    return mf.parse(io.BytesIO(raw), sha256(raw).digest())


class GoodTest(unittest.TestCase):
    def test_a_good_bundle(self):
        image = bundle(_FILES, "1.2.3", 7)
        header = mf.parse_header(image)
        self.assertEqual(header.total, len(image))
        self.assertEqual(header.offset % 1024, 0)
        manifest = _load(image)
        self.assertEqual((manifest.version, manifest.sequence, manifest.device_class), ("1.2.3", 7, CLASS))
        self.assertEqual((manifest.size, manifest.count), (5705, 2))
        # 2 for the slot, app.mpy 2, folder 2 and file 1, note.txt 1
        self.assertEqual((manifest.file_count, manifest.flash_blocks), (3, 8))
        table = list(mf.files(io.BytesIO(image[64 : 64 + header.manifest_size])))
        self.assertEqual([(p, n) for p, n, _ in table], [(p, len(c)) for p, c in _FILES])
        payload = image[header.offset :]
        self.assertEqual(hasattr(manifest, "files"), False)  # the table is not kept
        self.assertTrue(manifest.block_ok(0, memoryview(payload)[:4096]))
        self.assertTrue(manifest.block_ok(1, payload[4096:]))
        self.assertEqual(manifest.block_ok(1, payload[4096:] + b"x"), False)
        self.assertEqual(manifest.block_ok(0, payload[4096:]), False)
        mf.check(manifest, CLASS, 6)
        mf.check_code(manifest, "app.mpy", payload[:4])

    def test_the_second_of_two_keys_will_do(self):
        other = b"\xff" + KEY.modulus[1:]
        self.assertEqual(_load(bundle(_FILES), (other, KEY.modulus)).sequence, 2)

    def test_a_deflated_payload_is_of_another_size_than_its_files(self):
        manifest = _with(k12=2, k11=[["a", 100000, bytes(16)], ["b", 6705, bytes(16)]])
        self.assertEqual((manifest.size, manifest.count), (5705, 2))
        self.assertEqual(manifest.flash_blocks, 2 + 25 + 2)  # of what is unpacked

    def test_names_that_begin_alike(self):
        table = [["a", 1, bytes(16)], ["a-b", 2, bytes(16)], ["a.c/a", 2, bytes(16)], ["ab/a", 5700, bytes(16)]]
        self.assertEqual(_with(k11=table).file_count, 4)

    def test_folders_are_counted_once(self):
        for paths, blocks in (
            (("a",), 3),
            (("a/b",), 5),
            (("a/b", "a/c"), 6),
            (("a-b/c", "a/b", "a/c/d", "a/e", "b/c/d"), 2 + 5 + 2 * 5),
        ):
            table = [[path, 1, bytes(16)] for path in paths[:-1]] + [[paths[-1], 5706 - len(paths), bytes(16)]]
            extra = (5706 - len(paths)) // 4096
            self.assertEqual(_with(k11=table).flash_blocks, blocks + extra)


class RefusalTest(unittest.TestCase):
    def refuses(self, reason, function, *args):
        with self.assertRaises(ManifestError) as caught:
            function(*args)
        self.assertEqual(caught.exception.reason, reason)
        self.assertTrue(caught.exception.final)

    def test_header(self):
        raw = manifest_bytes(fields(_FILES))
        signature = bytes(384)
        for reason, changes in (
            ("magic", {"magic": b"GWB2"}),
            ("header", {"crc": 1}),
            ("header", {"size": 60}),
            ("header", {"sig": 256}),
            ("length", {"msize": 0}),
            ("length", {"msize": 8193}),
            ("length", {"msize": 0xFFFFFFFF}),
            ("length", {"psize": 0}),
            ("length", {"offset": 0}),
            ("length", {"offset": 0xFFFFFC00}),
        ):
            with self.subTest(changes=str(changes)):
                self.refuses(reason, mf.parse_header, seal(raw, b"x", signature, **changes))
        for n in (0, 1, 63):
            self.refuses("header", mf.parse_header, seal(raw, b"x", signature)[:n])

    def test_signature(self):
        image = bytearray(bundle(_FILES))
        header = mf.parse_header(image)
        image[header.head_size - 1] ^= 1
        self.refuses("signature", _load, image)
        image[header.head_size - 1] ^= 1
        image[70] ^= 1  # in the manifest
        self.refuses("digest", _load, image)
        image[70] ^= 1
        self.refuses("key", _load, image, ())
        self.refuses("key", _load, image, (b"\xff" + KEY.modulus[1:],))
        self.refuses("key", _load, image, (KEY.modulus[:256],))
        self.refuses("length", _open, header, image[: header.head_size - 1], (KEY.modulus,))

    def test_a_signed_manifest_must_fit_its_header(self):
        raw = manifest_bytes(fields(_FILES))
        signature = KEY.sign(raw)
        self.refuses("size", _load, seal(raw, b"", signature, psize=5704))
        values = fields(_FILES)
        values[13] = bytes(8)
        raw = manifest_bytes(values)
        self.refuses("key", _load, seal(raw, b"x", KEY.sign(raw), psize=5705))

    def test_pkcs1_signature_over_the_right_manifest(self):
        raw = manifest_bytes(fields(_FILES))
        # EMSA-PKCS1-v1_5 (RFC 8017 9.2) of SHA-256, signed with the right key
        info = bytes.fromhex("3031300d060960864801650304020105000420") + sha256(raw).digest()
        m = int.from_bytes(b"\x00\x01" + b"\xff" * (384 - 3 - len(info)) + b"\0" + info, "big")
        signature = KEY.power(m)
        self.assertEqual(pow(int.from_bytes(signature, "big"), 65537, int.from_bytes(KEY.modulus, "big")), m)
        self.refuses("signature", _load, seal(raw, b"x", signature, psize=5705))

    def test_fields(self):
        row = [_FILES[0][0], 5705, bytes(16)]
        for reason, changes in (
            ("field", {"k1": 2}),
            ("field", {"k2": 0}),
            ("field", {"k2": 1 << 32}),
            ("field", {"k2": "2"}),
            ("field", {"k3": ""}),
            ("field", {"k3": "1.0 beta"}),
            ("field", {"k3": "../1"}),
            ("field", {"k3": "1" * 33}),
            ("field", {"k4": b"test"}),
            ("field", {"k4": "Test"}),
            ("field", {"k7": 0}),
            ("files", {"k7": 4096}),
            ("field", {"k8": bytes(31)}),
            ("field", {"k9": 512}),
            ("blocks", {"k10": bytes(48)}),
            ("blocks", {"k10": bytes(17)}),
            ("field", {"k10": b""}),
            ("field", {"k11": []}),
            ("files", {"k11": [row[:2]]}),
            ("files", {"k11": [row + [1]]}),
            ("files", {"k11": [5]}),
            ("files", {"k11": [[row[0], 5704, row[2]]]}),
            ("files", {"k11": [[row[0], 5706, row[2]]]}),
            ("files", {"k11": [[row[0], 0, row[2]]]}),
            ("files", {"k11": [[row[0], b"5705", row[2]]]}),
            ("files", {"k11": [["a", 5705, bytes(16)], ["b", 1 << 63, bytes(16)]]}),
            ("files", {"k11": [[row[0], 5705, bytes(15)]]}),
            ("files", {"k11": [[row[0], 5705, bytes(32)]]}),
            ("path", {"k11": [["b", 5000, bytes(16)], ["a", 705, bytes(16)]]}),
            ("path", {"k11": [["a", 5000, bytes(16)], ["a", 705, bytes(16)]]}),
            ("field", {"k11": [["f%03d" % i, 1, bytes(16)] for i in range(193)]}),
            ("field", {"k12": 4}),
            ("field", {"k12": 2, "k6": "image"}),
            ("files", {"k12": 2, "k11": [["a", 16777216, bytes(16)], ["b", 1, bytes(16)]]}),
            ("path", {"k11": [["a", 1, bytes(16)], ["a-b", 2, bytes(16)], ["a.c/d", 2, bytes(16)],
                              ["a/b", 5700, bytes(16)]]}),
            ("path", {"k11": [["a/b", 5, bytes(16)], ["a/b/c", 5700, bytes(16)]]}),
            ("field", {"k13": bytes(7)}),
        ):
            with self.subTest(changes=str(changes)[:60]):
                self.refuses(reason, lambda changes=changes: _with(**changes))

    def test_paths(self):
        for path in ("../app.mpy", "a/../b", "/app.mpy", "a//b", "", "a/", ".", "..", ".hidden", "a/b/c/d", "App.mpy",
                     "MANIFEST", "a b", "a\\b", "a\0b", "a\nb", "\u00e4", "-x", "x" * 49, "con:", "f.tmp"):  # fmt: skip
            with self.subTest(path=path):
                self.refuses("path", lambda path=path: _with(k11=[[path, 5705, bytes(16)]]))
        self.refuses("path", lambda: _with(k11=[[b"a", 5705, bytes(16)]]))

    def test_structure(self):
        values = fields(_FILES)
        good = manifest_bytes(values)
        for raw in (b"", b"\xa0", b"\x80", b"\xff", b"\x01", good + b"\0", good[:-1]):
            with self.assertRaises(ManifestError):
                mf.parse(io.BytesIO(raw), bytes(32))
        values[14] = 0
        self.refuses("fields", mf.parse, io.BytesIO(manifest_bytes(values)), bytes(32))
        del values[14], values[5]
        self.refuses("fields", mf.parse, io.BytesIO(manifest_bytes(values)), bytes(32))

    def test_policy(self):
        manifest = _with(k2=5, k5=3)
        mf.check(manifest, CLASS, 4)
        for reason, args in (
            ("class", ("other", 4)),
            ("sequence", (CLASS, 5)),
            ("sequence", (CLASS, 6)),
            ("precursor", (CLASS, 2)),
            ("blacklisted", (CLASS, 4, (bytes(16), manifest.digest[:16]))),
            ("component", (CLASS, 4, (), "modem")),
        ):
            with self.subTest(reason=reason):
                self.refuses(reason, mf.check, manifest, *args)

    def test_code(self):
        manifest = _with()
        mf.check_code(manifest, "a.mpy", b"M\x06\x00\x1f")
        mf.check_code(manifest, "a.txt", b"anything")
        for reason, start in (
            ("mpy", b"M\x05\x00\x1f"),
            ("mpy", b"MZ\x00\x00"),
            ("mpy", b"M\x06"),
            ("native", b"M\x06\x2c\x1f"),
        ):
            self.refuses(reason, mf.check_code, manifest, "a.mpy", start)
        mf.check_code(_with(k12=1), "a.mpy", b"M\x06\x2c\x1f")


class FuzzTest(unittest.TestCase):
    def test_mutated_manifests_give_manifest_errors_only(self):
        rng = Rng(seed(77))
        good = manifest_bytes(fields(_FILES))
        for _ in range(400):
            raw = bytearray(good)
            for _ in range(1 + rng.below(3)):
                kind = rng.below(3)
                at = rng.below(len(raw))
                if kind == 0:
                    raw[at] = rng.bits(8)
                elif kind == 1:
                    raw = raw[:at] + raw[at + 1 + rng.below(8) :] or bytearray(1)
                else:
                    raw = raw[:at] + rng.bytes(rng.below(8)) + raw[at:]
            try:
                mf.parse(io.BytesIO(raw), bytes(32))
            except ManifestError:
                pass

    def test_mutated_headers_give_manifest_errors_only(self):
        rng = Rng(seed(78))
        good = bundle(_FILES)[:64]
        passed = 0
        for _ in range(400):
            raw = bytearray(good)
            raw[rng.below(60)] = rng.bits(8)
            try:
                mf.parse_header(raw)
                passed += bytes(raw) != good
            except ManifestError:
                pass
        self.assertEqual(passed, 0)


if __name__ == "__main__":
    unittest.main()
