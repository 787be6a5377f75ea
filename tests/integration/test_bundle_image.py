"""Whole ESP32 images: checked and packed by tools/godwit, taken by lib/fota on a simulated ESP32 under MicroPython.

The images come from tests/harness/espimage.py; esptool 4.8.1 takes those, and has made the one in tests/data.
"""

import base64
import functools
import json
import subprocess
from pathlib import Path

import cbor2
import pytest
from click.testing import CliRunner

from godwit import appimage, bundle, keys, release
from godwit.places import BUILD
from harness import espimage

REPO = Path(__file__).resolve().parents[2]
DEVICE = REPO / "tests" / "integration" / "image_device.py"
CLASS = "field-node"
NEW = espimage.make("1.1.0", 9000)


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """A tree with one board that has app partitions, and one that has not."""
    folder = tmp_path_factory.mktemp("repo")
    for name, about in (
        ("field", {"mcu": "esp32", "features": ["partitions"]}),
        ("s3", {"mcu": "esp32s3", "features": ["partitions"]}),
        ("plain", {"mcu": "esp32"}),
    ):
        (folder / "boards" / name).mkdir(parents=True)
        text = json.dumps(about | {"device_class": CLASS, "modem": {"family": "nrf91"}})
        (folder / "boards" / name / "board.json").write_text(text)
    return folder


@pytest.fixture(scope="module")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "key.pem"
    keys.make_key(path)
    return path


@pytest.fixture
def run(repo, key_file, tmp_path, monkeypatch):
    """Run `godwit bundle` on that tree -> (click's result, what was written)."""
    monkeypatch.setattr(appimage, "files", functools.partial(appimage.files, repo=repo))
    monkeypatch.setattr(bundle, "device_class", functools.partial(bundle.device_class, repo=repo))

    def command(image, *more, board="field"):
        (tmp_path / "firmware.bin").write_bytes(image)
        words = ["--image", tmp_path / "firmware.bin", "--board", board, "--version", "1.1.0", "--sequence", "2"]
        words += ["--key", key_file, "--out", tmp_path / "out.bin", *more]
        done = CliRunner().invoke(release.bundle, [str(word) for word in words])
        return done, (tmp_path / "out.bin").read_bytes() if done.exit_code == 0 else None

    return command


def test_what_esptool_has_made():
    vector = json.loads((REPO / "tests" / "data" / "esp_image.json").read_text())
    image = base64.b64decode(vector["image"])
    assert espimage.is_valid(lambda at, n: image[at : at + n], len(image))
    found = appimage.parse(image)
    assert (found.chip, found.project, found.version) == ("esp32", vector["project"], vector["version"])


def test_every_flipped_byte_and_every_length_is_noticed():
    image = espimage.make("x", 700)
    assert appimage.parse(image).segments == 2
    for at in range(len(image)):
        for bad in (image[:at] + bytes([image[at] ^ 0x10]) + image[at + 1 :], image[:at]):
            with pytest.raises(bundle.BundleError):
                appimage.parse(bad)
    with pytest.raises(bundle.BundleError, match="header says"):
        appimage.parse(image + bytes(16))


@pytest.mark.parametrize(
    ("image", "board", "reason"),
    [
        (b"\x7fELF" + bytes(100), "field", "does not begin with E9"),
        (espimage.make("1", 900, appended=0), "field", "no SHA-256"),
        (espimage.make("1", 900, chip=espimage.ESP32S3), "field", "is for esp32s3, board field is esp32"),
        (espimage.make("1", 900), "s3", "is for esp32, board s3 is esp32s3"),
        (espimage.make("1", 900), "plain", "takes no whole images"),
    ],
)
def test_refused_at_the_desk(run, image, board, reason):
    done, _ = run(image, board=board)
    assert done.exit_code == 1 and reason in done.output and "Traceback" not in done.output


def test_more_than_a_manifest_can_hold(run):
    image = espimage.make("1", 2100000)
    done, _ = run(image)
    assert done.exit_code == 1 and "a manifest has room for" in done.output


def test_options_that_mean_nothing_here(run):
    done, _ = run(NEW, "--modem", "bg95")
    assert done.exit_code == 1 and "--image is the whole firmware" in done.output


def test_the_bundle_as_a_foreign_decoder_sees_it(run):
    done, packed = run(NEW, "--json")
    assert done.exit_code == 0, done.output
    doc, manifest, _, payload = bundle.parse_bundle(packed)
    assert cbor2.dumps(doc) == manifest and payload == NEW
    assert [doc[i] for i in (2, 3, 4, 5, 6, 7, 12)] == [2, "1.1.0", CLASS, 0, "image", len(NEW), 0]
    assert [row[:2] for row in doc[11]] == [["image.bin", len(NEW)]]
    assert json.loads(done.output)["component"] == "image"


@pytest.mark.parametrize("bits", [64, 32])
def test_a_node_takes_it(run, key_file, tmp_path, bits):
    _, packed = run(NEW)
    assert take(bits, packed, keys.load_key(key_file), tmp_path) == {
        "ended": "new",
        "refused": None,
        "starts": 2,
        "slot": 1,
    }


def test_a_node_takes_the_keys_that_lie_behind_it(run, key_file, tmp_path):
    done, packed = run(NEW, "--trust", key_file)
    doc, _, _, payload = bundle.parse_bundle(packed)
    modulus = keys.modulus(keys.load_key(key_file))
    assert payload == NEW + modulus and [row[0] for row in doc[11]] == ["image.bin", "update.pub"]
    assert keys.key_id(modulus).hex() in done.output
    assert take(32, packed, keys.load_key(key_file), tmp_path)["ended"] == "new"


@pytest.mark.parametrize("bits", [64, 32])
def test_a_node_refuses_files_for_slots(key_file, tmp_path, bits):
    key = keys.load_key(key_file)
    (tmp_path / "firmware.bin").write_bytes(NEW)
    packed = bundle.build_bundle({"a.mpy": b"M\x06\x00\x1f"}, version="1.1.0", sequence=2, device_class=CLASS, key=key)
    told = take(bits, packed, key, tmp_path)
    assert (told["refused"], told["slot"]) == ("update refused: component (app)", 0)


def take(bits, packed, key, tmp_path):
    """What image_device.py says about a bundle."""
    program = BUILD / "bin" / f"micropython{bits}"
    if not program.exists():
        pytest.skip(f"no {bits}-bit MicroPython on this machine")
    (tmp_path / "bundle").write_bytes(packed)
    (tmp_path / "modulus").write_bytes(keys.modulus(key))
    files = [tmp_path / name for name in ("bundle", "modulus")]
    command = [program, "-X", "heapsize=4m", DEVICE, REPO, *files, CLASS, tmp_path / "firmware.bin"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
