"""Bundles: made by tools/godwit/bundle.py, judged by cryptography and cbor2, and taken by lib/fota on MicroPython."""

import ast
import hashlib
import io
import json
import os
import random
import subprocess
import zipfile
import zlib
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization

from godwit import bundle, compiled, keys, selection, squeeze
from godwit.places import BUILD

REPO = Path(__file__).resolve().parents[2]
DEVICE = REPO / "tests" / "integration" / "bundle_device.py"
FILES = {"b.mpy": b"M\x06\x00\x1f" + bytes(5000), "a/c.mpy": b"M\x06\x00\x1fmore", "notes.txt": b"text"}
CLASS = "godwit-unix"
KEPT = frozenset(["Backoff", "BLOCK_SIZE"])


@pytest.fixture(scope="module")
def key():
    return keys.make_key()


@pytest.fixture(scope="module")
def firmware():
    """This repository's own tree; bundle_device.py asks for two of its names."""
    return bundle.firmware_files("unix", keep=KEPT)


def build(key, files=None, **changes):
    terms = {"version": "1.0.0", "sequence": 1, "device_class": CLASS, "key": key} | changes
    return bundle.build_bundle(FILES if files is None else files, **terms)


# --- format


def test_the_same_input_gives_the_same_bytes(key):
    backwards = dict(reversed(FILES.items()))
    assert build(key) == build(key, backwards)
    assert build(key) != build(key, sequence=2)


def test_manifest_as_a_foreign_decoder_sees_it(key):
    image = build(key, version="2.0.1-rc.1", sequence=70000, min_from=3, flags=1)
    doc, manifest, signature, payload = bundle.parse_bundle(image)
    assert cbor2.dumps(doc) == manifest  # fixed order, shortest form
    assert list(doc) == list(range(1, 14))
    assert [doc[i] for i in (1, 2, 3, 4, 5, 6, 9, 12)] == [1, 70000, "2.0.1-rc.1", CLASS, 3, "app", 4096, 1]
    assert payload == b"".join(FILES[path] for path in sorted(FILES))
    assert doc[7] == len(payload) and doc[8] == hashlib.sha256(payload).digest()
    blocks = [payload[i : i + 4096] for i in range(0, len(payload), 4096)]
    assert doc[10] == b"".join(hashlib.sha256(block).digest()[:16] for block in blocks)
    assert [row[0] for row in doc[11]] == sorted(FILES)
    assert all(row[2] == hashlib.sha256(FILES[row[0]]).digest()[:16] for row in doc[11])
    assert doc[13] == keys.key_id(keys.modulus(key))
    keys.verify(key.public_key(), manifest, signature)
    assert (len(image) - len(payload)) % 1024 == 0


def test_openssl_accepts_the_signature(key, tmp_path):
    _, manifest, signature, _ = bundle.parse_bundle(build(key))
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name, content in (("key", public), ("sig", signature), ("manifest", manifest)):
        (tmp_path / name).write_bytes(content)
    pss = [part for option in ("rsa_padding_mode:pss", "rsa_pss_saltlen:32", "rsa_mgf1_md:sha256")
           for part in ("-sigopt", option)]  # fmt: skip
    command = [BUILD / "bin" / "openssl", "dgst", "-sha256", *pss, "-verify", "key", "-signature", "sig", "manifest"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert "Verified OK" in done.stdout, done.stderr


def test_slot_files_hold_everything(key):
    image = build(key)
    files = bundle.slot_files(image)
    head = files.pop("MANIFEST")
    assert files == FILES
    assert image.startswith(head)


def test_a_deflated_bundle(key):
    """Every byte of it is as the format says, by Python's own zlib."""
    files = FILES | {"words.txt": b"the same words again and again; " * 500}
    plain, image = build(key, files), build(key, files, deflate=True)
    doc, _, _, payload = bundle.parse_bundle(image)
    assert doc[12] == 2 and doc[11] == bundle.parse_bundle(plain)[0][11]
    assert doc[7] == len(payload) < sum(map(len, files.values())) / 10
    assert zlib.decompress(payload, -11) == bundle.parse_bundle(plain)[3]
    assert doc[8] == hashlib.sha256(payload).digest() and len(doc[10]) == 16 * -(-len(payload) // 4096)
    held = bundle.slot_files(image)
    assert image.startswith(held.pop("MANIFEST")) and held == files


def test_a_deflated_bundle_needs_a_window_of_2_KB_and_no_more(key):
    noise = random.Random(5).randbytes(1000)
    for gap, shrinks in ((700, True), (1100, False)):  # the second copy is 1,700 or 2,100 bytes behind the first
        image = build(key, {"a.txt": noise + bytes(gap) + noise}, deflate=True)
        assert (len(bundle.parse_bundle(image)[3]) < 1500) is shrinks


@pytest.mark.parametrize("stream", [b"", b"\x07", zlib.compress(b"x" * 100), b"x" * 5000])
def test_streams_that_are_not_what_they_should_be(stream):
    with pytest.raises(bundle.BundleError, match="deflate"):
        bundle.inflated(stream, 100)


def test_streams_of_another_length():
    stream = bundle.deflated(b"x" * 100)
    for changed, size in ((stream, 99), (stream, 101), (stream + b"x", 100), (stream[:-1], 100)):
        with pytest.raises(bundle.BundleError, match="exactly"):
            bundle.inflated(changed, size)


def test_a_zlib_that_loses_something_makes_no_bundle(key, monkeypatch):
    monkeypatch.setattr(bundle, "inflated", lambda stream, size: bytes(size))
    with pytest.raises(bundle.BundleError, match="does not give back"):
        build(key, deflate=True)


@pytest.mark.parametrize("damage", [0, 20, 63, 70, -1])
def test_a_damaged_bundle_is_refused(key, damage):
    image = bytearray(build(key))
    if damage < 0:
        del image[damage:]
    else:
        image[damage] ^= 1
    with pytest.raises(bundle.BundleError):
        bundle.parse_bundle(bytes(image))


@pytest.mark.parametrize(
    ("files", "changes"),
    [
        ({}, {}),
        ({"a.mpy": b""}, {}),
        ({"../a.mpy": b"x"}, {}),
        ({"/a.mpy": b"x"}, {}),
        ({"a/b/c/d.mpy": b"x"}, {}),
        ({"A.mpy": b"x"}, {}),
        ({"MANIFEST": b"x"}, {}),
        ({"a" * 49: b"x"}, {}),
        ({f"file{i}.mpy": b"x" for i in range(193)}, {}),
        (FILES, {"version": "1.0 beta"}),
        (FILES, {"version": ""}),
        (FILES, {"device_class": "Unix"}),
        (FILES, {"sequence": 0}),
        (FILES, {"sequence": 2**32}),
        (FILES, {"min_from": -1}),
        ({"a": b"x", "a/b": b"x"}, {}),
    ],
)
def test_what_no_node_would_take_is_not_built(key, files, changes):
    with pytest.raises(bundle.BundleError):
        build(key, files, **changes)


def test_zip_for_nrf_cloud(key):
    image = build(key)
    packed = bundle.nrfcloud_zip(image, "godwit-unix", "1.0.0")
    assert packed == bundle.nrfcloud_zip(image, "godwit-unix", "1.0.0")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        about = json.loads(archive.read("manifest.json"))
        assert archive.read("godwit-unix.bin") == image
        assert all(entry.date_time == (1980, 1, 1, 0, 0, 0) for entry in archive.infolist())
    assert about["fwversion"] == "1.0.0" and about["format-version"] == 1
    assert about["files"] == [{"file": "godwit-unix.bin", "type": "application", "size": len(image)}]


def test_zip_too_large_for_nrf_cloud():
    with pytest.raises(bundle.BundleError, match="takes"):
        bundle.nrfcloud_zip(os.urandom(1_100_000), "big", "1.0.0")


# --- compiling a tree


def test_the_tree_of_this_repository(firmware):
    assert {"app.mpy", "board.mpy", "journal/recover.mpy", "fota/fetch.mpy", "tasks/update.mpy"} <= set(firmware)
    assert not {"boot.mpy", "bootsel.mpy", "main.mpy"} & set(firmware)
    assert all(code[:3] == b"M\x06\x00" for code in firmware.values())  # version 6, no machine code
    assert not any(str(REPO).encode() in code for code in firmware.values())
    assert set(bundle.factory_files("unix")) == {"boot.py", "main.py", "bootsafe.mpy", "bootsel.mpy"}
    assert bundle.device_class("unix") == CLASS


def test_a_slot_has_one_modem_family_and_what_it_makes_use_of(firmware):
    def modem_files(files):
        return {path for path in files if path.startswith(("modem/", "gnss/", "net/ppp"))}

    assert "modem/nrf91/steps.mpy" in firmware and "modem/queue.mpy" in firmware
    assert not {path for path in modem_files(firmware) if "/sara_r5/" in path or "ubx" in path or "pull" in path}
    other = selection.selected(dict.fromkeys(["app.py", "modem/sara_r5/x.py", "modem/nrf91/x.py", "modem/pull.py",
                                              "gnss/ubx.py", "net/ppp.py"]), {"sara_r5"})
    assert set(other) == {"app.py", "modem/sara_r5/x.py", "modem/pull.py", "gnss/ubx.py"}
    with pytest.raises(bundle.BundleError, match="no such modem family: moon"):
        bundle.firmware_files("unix", modem="moon")


@pytest.mark.parametrize("parts", [*({name} for name in selection.FAMILIES), {"nrf91", "ublox"}, {"bg95", "ppp"}])
def test_a_slot_has_everything_that_its_modules_import(parts):
    trees = {}
    for folder in ("lib", "firmware"):
        for path in sorted((REPO / folder).rglob("*.py")):
            trees[path.relative_to(REPO / folder).as_posix()] = path
    whole, mine = (
        {squeeze.module_name(path): source for path, source in found.items()}
        for found in (trees, selection.selected(trees, parts))
    )
    missing = []
    for name, path in mine.items():
        for node in ast.walk(ast.parse(path.read_text())):
            wanted = []
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                wanted = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            missing += [(name, module) for module in wanted if module in whole and module not in mine]
    assert not missing


@pytest.mark.parametrize("family", selection.FAMILIES)
def test_the_manifest_fits_its_format(family, key):
    """5 % are for the files of the next weeks."""
    trees = {}
    for folder in ("lib", "firmware"):
        for path in (REPO / folder).rglob("*.py"):
            trees[path.relative_to(REPO / folder).with_suffix(".mpy").as_posix()] = b"x" * 1200
    files = selection.selected({path[:-4] + ".py": code for path, code in trees.items()}, {family})
    image = build(key, {path[:-3] + ".mpy": code for path, code in files.items()})
    manifest = bundle.parse_bundle(image)[1]
    assert len(manifest) * 1.05 < bundle._MANIFEST_MAX, (family, len(files), len(manifest))


def test_compiling_is_repeatable(firmware):
    """And what build/cache had is what the compiler gives."""
    assert bundle.firmware_files("unix", keep=KEPT, fresh=True) == firmware


def test_what_was_compiled_is_not_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "FOLDER", tmp_path / "cache")
    made = []

    def make(texts, keep):
        made.append((texts, keep))
        return {"a.mpy": bytes([len(made)])}

    texts, none = {"a.py": "A = 1\n"}, frozenset()
    assert [compiled.files(texts, none, make)["a.mpy"] for _ in range(3)] == [b"\1"] * 3
    assert compiled.files({"a.py": "A = 2\n"}, none, make) == {"a.mpy": b"\2"}
    assert compiled.files({"b.py": "A = 1\n"}, none, make) == {"a.mpy": b"\3"}
    assert compiled.files(texts, frozenset(["A"]), make) == {"a.mpy": b"\4"}
    assert compiled.files(texts, none, make) == {"a.mpy": b"\1"}
    for damaged in (tmp_path / "cache").iterdir():
        damaged.write_bytes(b"\x5a\xff")
    assert compiled.files(texts, none, make) == {"a.mpy": b"\5"}
    for i in range(40):
        compiled.files({"a.py": f"A = {i}\n"}, none, make)
    assert len(list((tmp_path / "cache").iterdir())) == 32
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(compiled, "FOLDER", tmp_path / "file" / "cache")
    assert len(compiled.files(texts, none, make)) == 1 and len(compiled.files(texts, none, make)) == 1


@pytest.mark.parametrize("maker", compiled.MAKERS)
def test_another_way_to_compile_is_compiled_anew(maker, monkeypatch):
    before, read = compiled.name_of({}, frozenset()), Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == maker))
    assert compiled.name_of({}, frozenset()) != before


def test_errors_of_a_tree_are_one_line(tmp_path):
    with pytest.raises(bundle.BundleError, match="no such board: moon"):
        bundle.firmware_files("moon")
    for folder in ("lib", "firmware", "boards/x"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "boards/x/board.py").write_text("NAME = 1\n")
    (tmp_path / "lib/bad.py").write_text("x = 1\ndef broken(:\n")
    with pytest.raises(bundle.BundleError, match=r"boards/x/board.json does not tell its modem family"):
        bundle.firmware_files("x", tmp_path)
    (tmp_path / "boards/x/board.json").write_text('{"modem": {"family": "bg95"}}')
    with pytest.raises(bundle.BundleError, match=r"bad\.py.*line 2.*SyntaxError"):
        bundle.firmware_files("x", tmp_path)
    with pytest.raises(bundle.BundleError, match="no device_class"):
        bundle.device_class("x", tmp_path)


# --- taken by the device


def take(bits, image, modulus, tmp_path, device_class=CLASS):
    """What bundle_device.py says about a bundle."""
    program = BUILD / "bin" / f"micropython{bits}"
    if not program.exists():
        pytest.skip(f"no {bits}-bit MicroPython on this machine")
    (tmp_path / "image").write_bytes(image)
    (tmp_path / "modulus").write_bytes(modulus)
    command = [program, "-X", "heapsize=4m", DEVICE, REPO, tmp_path / "image", tmp_path / "modulus", device_class]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("bits", [64, 32])
def test_device_takes_this_tree_and_imports_from_the_slot(bits, key, firmware, tmp_path):
    image = build(key, firmware, version="1.1.0", sequence=2, deflate=True)
    told = take(bits, image, keys.modulus(key), tmp_path)
    assert (told["slot"], told["version"], told["sequence"]) == ("a", "1.1.0", 2)
    assert told["path"] == ["/flash/a", ".frozen"]
    assert told["from"] == ["/flash/a/fota/__init__.mpy", "/flash/a/retry.mpy"]
    assert told["block"] == 4096 and told["backoff"] is True


@pytest.mark.parametrize("bits", [64, 32])
def test_device_refuses(bits, key, tmp_path):
    stranger = keys.modulus(keys.make_key())
    good = build(key)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    for image, modulus, device_class, reason in (
        (good, stranger, CLASS, "key"),
        (good, keys.modulus(key), "other", "class"),
        (bytes(flipped), keys.modulus(key), CLASS, "block"),
        (build(key, {"a.mpy": b"M\x06\x2c\x1f" + bytes(50)}), keys.modulus(key), CLASS, "native"),
        (build(key, sequence=9, min_from=7), keys.modulus(key), CLASS, "precursor"),
    ):
        assert take(bits, image, modulus, tmp_path, device_class)["refused"] == reason
