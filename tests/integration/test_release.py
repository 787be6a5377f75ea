"""`godwit bundle` and `godwit keys`: what they make, what they say, and what they refuse in one line."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from godwit import bundle, keys, keys_command, release
from godwit.cloud import package
from godwit.places import BUILD, REPO

WORDS = "only for a test"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder with the keys old.pem, new.pem and locked.pem (encrypted)."""
    folder = tmp_path_factory.mktemp("keys")
    keys.make_key(folder / "old.pem")
    keys.make_key(folder / "new.pem")
    keys.make_key(folder / "locked.pem", WORDS.encode())
    return folder


def ask(*words, **settings):
    done = CliRunner().invoke(keys_command.group, list(map(str, words)), **settings)
    assert "PRIVATE" not in done.output
    return done


def refused(done, words):
    assert done.exit_code == 1 and len(done.output.splitlines()) == 1, done.output
    assert done.output.startswith("Error: ") and re.search(words, done.output), done.output


def make_release(folder, *words, key="old.pem"):
    """`godwit bundle` of a very small tree, to keep it short."""
    arguments = ["--version", "1.2.3", "--sequence", "4", "--key", folder / key, "--out", folder / "out.bin", *words]
    return CliRunner().invoke(release.bundle, list(map(str, arguments)))


@pytest.fixture
def small_tree(monkeypatch):
    files = {"app.mpy": b"M\x06\x00\x1f" + b"some code and some code again " * 300, "notes.txt": b"text"}
    monkeypatch.setattr(bundle, "firmware_files", lambda board, **terms: dict(files))
    return files


# --- keys


def test_key_file(tmp_path):
    path = tmp_path / "update.pem"
    key = keys.make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.modulus(keys.load_key(path)) == keys.modulus(key)
    with pytest.raises(FileExistsError):
        keys.make_key(path)


@pytest.mark.parametrize("kind", ["absent", "folder", "text", "ec", "rsa2048", "e3", "public"])
def test_unusable_key_files(tmp_path, kind):
    path = tmp_path / "update.pem"
    if kind == "text":
        path.write_text("no key")
    elif kind == "folder":
        path.mkdir()
    elif kind == "public":
        path.write_bytes(keys.public_pem(keys.make_key().public_key()))
    elif kind != "absent":
        made = {
            "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
            "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
            "e3": lambda: rsa.generate_private_key(3, 3072),
        }[kind]()
        encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(made.private_bytes(*encoding))
        path.chmod(0o600)
    with pytest.raises(keys.KeyFileError):
        keys.load_key(path)
    if kind != "public":
        with pytest.raises(keys.KeyFileError):
            keys.load_moduli(path)
        if kind != "folder":  # click's own words
            refused(ask("show", path), "update.pem: ")


def test_signature_is_repeatable_and_bound_to_its_message(shelf):
    key = keys.load_key(shelf / "old.pem")
    signature = keys.sign(key, b"message")
    assert signature == keys.sign(key, b"message")
    assert signature != keys.sign(key, b"messagf")
    with pytest.raises(InvalidSignature):
        keys.verify(key.public_key(), b"messagf", signature)


def test_make(tmp_path):
    done = ask("make", tmp_path / "a.pem")
    key = keys.load_key(tmp_path / "a.pem")
    assert done.exit_code == 0 and keys.key_id(keys.modulus(key)).hex() in done.output
    before = (tmp_path / "a.pem").read_bytes()
    refused(ask("make", tmp_path / "a.pem"), "is there already; nothing is overwritten")
    refused(ask("make", tmp_path / "no" / "a.pem"), "No such file")
    assert (tmp_path / "a.pem").read_bytes() == before


def test_an_encrypted_key(tmp_path, shelf, monkeypatch):
    monkeypatch.delenv(keys.PASSPHRASE, raising=False)
    refused(ask("make", tmp_path / "a.pem", "--encrypt"), "no terminal to ask on")
    assert not (tmp_path / "a.pem").exists()
    refused(ask("show", shelf / "locked.pem"), "encrypted; GODWIT_KEY_PASSPHRASE holds no passphrase")
    monkeypatch.setenv(keys.PASSPHRASE, WORDS)
    assert ask("make", tmp_path / "a.pem", "--encrypt").exit_code == 0
    text = (tmp_path / "a.pem").read_text()
    assert "ENCRYPTED" in text and stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    shown = ask("show", tmp_path / "a.pem", shelf / "old.pem")  # a passphrase does not keep an open key from opening
    assert shown.exit_code == 0 and len(shown.output.splitlines()) == 2
    monkeypatch.setenv(keys.PASSPHRASE, "another")
    refused(ask("show", tmp_path / "a.pem"), "wrong passphrase")
    assert WORDS not in shown.output


def test_a_terminal_is_asked(shelf, monkeypatch):
    monkeypatch.delenv(keys.PASSPHRASE, raising=False)
    monkeypatch.setattr(keys_command.sys, "stdin", type("Tty", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(keys_command.click, "prompt", lambda text, **how: WORDS if how["hide_input"] else "")
    assert keys.modulus(keys_command.open_key(shelf / "locked.pem"))


def test_show_and_public(tmp_path, shelf):
    old, new = (keys.modulus(keys.load_key(shelf / name)) for name in ("old.pem", "new.pem"))
    done = ask("public", shelf / "new.pem", shelf / "old.pem", shelf / "new.pem", "--out", tmp_path / "update.pub")
    assert done.exit_code == 0 and (tmp_path / "update.pub").read_bytes() == new + old
    refused(ask("public", shelf / "new.pem", "--out", tmp_path / "update.pub"), "is there already")
    shown = ask("show", tmp_path / "update.pub").output.splitlines()
    assert [line.split()[0] for line in shown] == [keys.key_id(new).hex(), keys.key_id(old).hex()]
    pem = ask("show", "--pem", tmp_path / "update.pub").output
    (tmp_path / "one.pem").write_text(pem[: pem.index("-----END") + 25])
    assert keys.load_moduli(tmp_path / "one.pem") == [new]
    command = [BUILD / "bin" / "openssl", "rsa", "-pubin", "-modulus", "-noout", "-in", tmp_path / "one.pem"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert told.strip() == "Modulus=" + new.hex().upper()
    os.chmod(shelf / "old.pem", 0o640)
    assert "chmod 600" in ask("show", shelf / "old.pem").output
    os.chmod(shelf / "old.pem", 0o600)


@pytest.mark.parametrize("size", [0, 1, 383, 385, 4 * 384])
def test_an_odd_list_of_moduli(tmp_path, size):
    (tmp_path / "update.pub").write_bytes(b"\xff" * size)
    refused(ask("show", tmp_path / "update.pub"), "neither PEM nor 1 to 3 moduli")
    (tmp_path / "update.pub").write_bytes(bytes(384))
    refused(ask("show", tmp_path / "update.pub"), "no modulus of 3072 bits")


def test_four_keys_are_too_many(shelf, tmp_path):
    (tmp_path / "two").write_bytes(b"\xff" * 384 + b"\xfe" * 383 + b"\xff")
    refused(ask("public", tmp_path / "two", shelf / "old.pem", shelf / "new.pem", "--out", tmp_path / "x"), "4 keys")
    assert not (tmp_path / "x").exists()


# --- a release


def test_command_writes_bundle_and_zip(tmp_path):
    done = make_release(tmp_path, "--new-key", "--zip", tmp_path / "out.zip")
    assert done.exit_code == 0, done.output
    image = (tmp_path / "out.bin").read_bytes()
    doc, _, _, payload = bundle.parse_bundle(image)
    assert doc[3] == "1.2.3" and doc[12] == bundle.FLAG_DEFLATE
    assert len(payload) < 0.75 * sum(size for _, size, _ in doc[11])
    assert zipfile.ZipFile(tmp_path / "out.zip").read("godwit-unix.bin") == image
    sent, manifest = package.read(tmp_path / "out.zip")  # what `godwit cloud firmware upload` checks
    assert sent == (tmp_path / "out.zip").read_bytes() and manifest["fwversion"] == "1.2.3"
    assert "1.2.3, release 4, godwit-unix" in done.output and hashlib.sha256(image).hexdigest() in done.output
    again = make_release(tmp_path)
    assert again.exit_code == 0 and (tmp_path / "out.bin").read_bytes() == image
    refused(make_release(tmp_path, "--new-key"), "exists")


def test_what_the_other_clouds_ask_for(shelf, tmp_path, small_tree):
    done = make_release(shelf, "--json", "--zip", tmp_path / "x.zip", "--no-deflate")
    told = json.loads(done.output)
    image = (shelf / "out.bin").read_bytes()
    assert (told["title"], told["version"], told["size"]) == ("godwit-unix", "1.2.3", len(image))
    assert (told["checksum_algorithm"], told["checksum"]) == ("SHA256", hashlib.sha256(image).hexdigest())
    assert told["deflate"] is None and told["payload"] == told["unpacked"]
    assert told["zip"] == str(tmp_path / "x.zip") and told["trusts"] == []


@pytest.mark.parametrize("words", [(), ("--board", "moon", "--new-key"), ("--version", "1 2", "--new-key")])
def test_command_errors_are_one_line(tmp_path, words):
    done = make_release(tmp_path, *words)
    refused(done, "")
    assert not (tmp_path / "out.bin").exists()


_BUILD = """
import sys
from pathlib import Path
from godwit import bundle, keys
key = keys.load_key(sys.argv[1])
files = bundle.firmware_files("unix", Path.cwd(), fresh=True) | {"update.pub": keys.trust_list(sys.argv[1:])}
image = bundle.build_bundle(files, version="2.0.0", sequence=7, device_class="x", key=key, deflate=True)
Path("out.bin").write_bytes(image)
Path("out.zip").write_bytes(bundle.nrfcloud_zip(image, "x", "2.0.0"))
"""


def test_the_same_release_anywhere(shelf, tmp_path):
    """In two folders, at two times, with two hash seeds, in two languages; the compiler's cache is not asked."""
    running = []
    for name, seed, language, zone in (("one", "1", "C", "UTC"), ("another", "77", "tr_TR.UTF-8", "Asia/Kathmandu")):
        for part in ("lib", "firmware", "boards"):
            if name == "another":
                shutil.copytree(tmp_path / "one" / part, tmp_path / name / part, copy_function=shutil.copyfile)
            else:
                shutil.copytree(REPO / part, tmp_path / name / part)
        env = os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": language, "LANG": language, "TZ": zone,
                            "PYTHONPATH": str(REPO / "tools")}  # fmt: skip
        command = [sys.executable, "-c", _BUILD, shelf / "old.pem", shelf / "new.pem"]
        running.append(subprocess.Popen(command, cwd=tmp_path / name, env=env))
    assert [one.wait(100) for one in running] == [0, 0]
    for name in ("out.bin", "out.zip"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "another" / name).read_bytes()


# --- rotation


def test_rotate(tmp_path, shelf, small_tree):
    done = ask("rotate", shelf / "old.pem", "--to", tmp_path / "next.pem")
    assert done.exit_code == 0, done.output
    old, following = (keys.modulus(keys.load_key(path)) for path in (shelf / "old.pem", tmp_path / "next.pem"))
    refused(ask("rotate", shelf / "old.pem", "--to", tmp_path / "next.pem"), "is there already")
    refused(ask("rotate", shelf / "none.pem", "--to", tmp_path / "other.pem"), "No such file")
    assert not (tmp_path / "other.pem").exists()
    releases = []
    for line in re.findall(r"godwit bundle (.*)", done.output):  # as they stand there
        line = line.replace("N+1", "6").replace("N", "5").replace("...", "1.0.0", 1)
        words = line.replace("...", str(tmp_path / "x"))
        made = CliRunner().invoke(release.bundle, words.split())
        assert made.exit_code == 0, made.output
        releases.append((tmp_path / "x").read_bytes())
    first, second = (bundle.parse_bundle(image) for image in releases)
    assert first[0][13] == keys.key_id(old) and second[0][13] == keys.key_id(following)
    assert bundle.slot_files(releases[0])["update.pub"] == following + old
    assert bundle.slot_files(releases[1])["update.pub"] == following
    assert second[0][5] == 5  # only from release 1 on


def test_a_release_that_disowns_its_own_key_says_so(shelf, small_tree):
    done = make_release(shelf, "--trust", shelf / "new.pem")
    assert done.exit_code == 0 and "sign the next one with another" in done.output
    assert "sign the next" not in make_release(shelf, "--trust", shelf / "new.pem", "--trust", shelf / "old.pem").output
    refused(make_release(shelf, "--trust", shelf / "none"), "No such file")


# --- verify


def test_verify(tmp_path, shelf, small_tree):
    assert make_release(shelf, "--zip", shelf / "out.zip").exit_code == 0
    image = (shelf / "out.bin").read_bytes()
    for name, public in (("out.bin", "old.pem"), ("out.zip", "old.pem")):
        done = ask("verify", shelf / name, "--public", shelf / public)
        assert done.exit_code == 0 and "good. 1.2.3, release 4, godwit-unix, 2 files" in done.output
    refused(ask("verify", shelf / "out.bin", "--public", shelf / "new.pem"), "signed with a key that is not in")
    manifest_size = len(bundle.parse_bundle(image)[1])
    for at, words in ((0, "not a firmware"), (20, "header"), (70, "damaged"), (70 + manifest_size, "signature"),
                      (-1, "payload is damaged")):  # fmt: skip
        bad = bytearray(image)
        bad[at] ^= 1
        (tmp_path / "bad").write_bytes(bad)
        refused(ask("verify", tmp_path / "bad", "--public", shelf / "old.pem"), words)
    (tmp_path / "bad").write_bytes(b"PK\3\4 nothing")
    refused(ask("verify", tmp_path / "bad", "--public", shelf / "old.pem"), "damaged zip")
    refused(ask("verify", tmp_path / "none", "--public", shelf / "old.pem"), "No such file")


def test_verify_says_what_was_signed_with_a_mistake(tmp_path, shelf, small_tree, monkeypatch):
    monkeypatch.setattr(bundle, "deflated", lambda plain: b"\x07" + plain)
    assert make_release(shelf).exit_code == 0
    refused(ask("verify", shelf / "out.bin", "--public", shelf / "old.pem"), "no deflate stream")
