"""Credentials, tokens and the NVM of the simulated modem (modems.md 2A.11, nrfcloud.md 3.2)."""

import base64
import hashlib
import json

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from modemsim_support import running_modem

from godwit import pki

TAG = 16842753
FAST = ("--speed", "100")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verified(public, token):
    """Header and claims of a JWT whose signature holds."""
    signed, _, signature = token.rpartition(".")
    raw = unb64(signature)
    assert len(raw) == 64 and "=" not in token
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    return [json.loads(unb64(part)) for part in signed.split(".")]


@pytest.fixture
def device(tmp_path):
    return pki.make_device(tmp_path)


@pytest.fixture
def modem(tmp_path, device):
    with running_modem(tmp_path, *FAST, "--credential", f"{TAG}:2={tmp_path / 'device.key'}") as running:
        running.terminal.ok("AT+CMEE=1")
        yield running


def jwt(modem, parameters):
    (line,) = modem.terminal.ok("AT%JWT=" + parameters)
    return line.removeprefix('%JWT: "').removesuffix('"')


def test_jwt_with_the_cloud_access_key(modem, device):
    modem.attach()
    header, claims = verified(device.public_key(), jwt(modem, f'0,600,"nrf-352656100000001","",{TAG},2'))
    uuid = modem.terminal.ok("AT%DEVICEUUID")[0].removeprefix("%DEVICEUUID: ")
    assert header == {"typ": "JWT", "alg": "ES256", "kid": pki.key_id(device)}
    assert claims.pop("jti").startswith("nRF9151.")
    assert abs(claims["iat"] - modem.ask(get="state")["now_ms"] / 1000) < 30
    assert claims == {"iss": "nRF9151." + uuid, "iat": claims["iat"], "sub": "nrf-352656100000001",
                      "exp": claims["iat"] + 600}
    assert modem.terminal.ok("AT#XUUID") == ["#XUUID: " + uuid]


def test_jwt_claims_follow_parameters(modem, device):
    _, claims = verified(device.public_key(), jwt(modem, f',,"","team",{TAG},2'))
    assert sorted(claims) == ["aud", "iss", "jti"]
    _, claims = verified(device.public_key(), jwt(modem, f',0,"me",,{TAG},2'))
    assert sorted(claims) == ["iss", "jti", "sub"]
    identity = jwt(modem, "0,0")  # signed with the factory key
    header = json.loads(unb64(identity.split(".")[0]))
    assert header["kid"] != pki.key_id(device)


@pytest.mark.parametrize(
    "parameters, code",
    [
        (f',600,"x","",{TAG},2', 525),  # time unknown before attach
        (',0,"x","",99,2', 513),
        (f',0,"x","",{TAG},8', 50),
        (f',0,"x","",{TAG}', 50),
        ("1,0", 50),
        (",604801", 50),
        (",0,x", 50),
        (",0,,,1,2,3", 50),
    ],
)
def test_jwt_refusals(modem, parameters, code):
    assert modem.terminal.at("AT%JWT=" + parameters) == f"\r\n+CME ERROR: {code}\r\n"


def test_credentials_life(modem):
    terminal = modem.terminal
    ca = pki.make_ca()[0].public_bytes(serialization.Encoding.PEM).decode()
    terminal.ok(f'AT%CMNG=0,{TAG},0,"{ca}"')  # line ends within quotes do not end the command
    digest = hashlib.sha256(ca.encode()).hexdigest().upper()
    assert terminal.ok(f"AT%CMNG=1,{TAG},0") == [f'%CMNG: {TAG},0,"{digest}"']
    assert len(terminal.ok("AT%CMNG=1")) == 2 and terminal.ok("AT%CMNG=1,7") == []
    assert terminal.at(f"AT%CMNG=2,{TAG},0") == f'\r\n%CMNG: {TAG},0,"{digest}","{ca}"\r\n\r\nOK\r\n'
    assert terminal.at(f"AT%CMNG=2,{TAG},2") == "\r\n+CME ERROR: 514\r\n"
    assert terminal.at("AT%CMNG=3,7,0") == "\r\n+CME ERROR: 513\r\n"
    modem.attach()
    assert terminal.at(f'AT%CMNG=0,{TAG},0,"x"') == "\r\n+CME ERROR: 518\r\n"
    assert terminal.at(f"AT%CMNG=3,{TAG},0") == "\r\n+CME ERROR: 518\r\n"
    terminal.ok("AT+CFUN=4")
    terminal.ok(f"AT%CMNG=3,{TAG},0")
    assert terminal.ok(f"AT%CMNG=1,{TAG},0") == []


def cose(text, public, outside):
    """The payload of a COSE_Sign1 in base64url whose signature by `public` over it and `outside` holds; None if nil."""
    envelope = cbor2.loads(unb64(text))
    protected, unprotected, attached, raw = envelope.value
    assert (envelope.tag, cbor2.loads(protected), dict(unprotected)) == (18, {1: -7}, {4: b"\x21"})
    signed = cbor2.dumps(["Signature1", protected, outside, attached])
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(der, signed, ec.ECDSA(hashes.SHA256()))
    return attached and plain(attached)


def plain(payload):
    """Items of a self-described array, whether cbor2 unwraps the tag or not."""
    assert payload[:3] == b"\xd9\xd9\xf7"
    return list(cbor2.loads(payload[3:]))


def factory(modem):
    """(uuid as bytes, identity public key) as the simulator's factory wrote them down."""
    record = modem.ask(get="identity")
    key = serialization.load_pem_public_key(record["publicKey"].encode())
    return bytes.fromhex(record["uuid"].replace("-", "")), key


def test_keygen(modem):
    terminal = modem.terminal
    uuid, identity = factory(modem)
    assert terminal.at(f"AT%KEYGEN={TAG},2") == "\r\n+CME ERROR: 519\r\n"
    (line,) = terminal.ok("AT%KEYGEN=5,2,0")
    body, envelope = line.removeprefix('%KEYGEN: "').removesuffix('"').split(".")
    csr = x509.load_der_x509_csr(unb64(body))
    assert csr.is_signature_valid
    _, claims = verified(csr.public_key(), jwt(modem, ',0,"x","",5,2'))
    assert claims["sub"] == "x"
    kind, who, tag, digest, nonce = cose(envelope, identity, unb64(body))
    assert (kind, who, cbor2.loads(tag), len(nonce)) == (9, uuid, 5, 16)
    assert digest == hashlib.sha256(unb64(body)).digest()
    (line,) = terminal.ok("AT%KEYGEN=16842754,2,1")
    body, envelope = line.split('"')[1].split(".")
    verified(serialization.load_der_public_key(unb64(body)), jwt(modem, ',0,"y","",16842754,2'))
    kind, who, tag, digest, _ = cose(envelope, identity, unb64(body))
    assert (kind, who, tag, digest) == (8, uuid, b"\x1a\x01\x01\x00\x02", hashlib.sha256(unb64(body)).digest())


def test_keygen_attributes_and_usage(modem):
    terminal = modem.terminal
    (line,) = terminal.ok('AT%KEYGEN=5,2,0,"O=Nordic Semiconductor,L=Trondheim,C=no,CN=0123456789","101010000"')
    csr = x509.load_der_x509_csr(unb64(line.split('"')[1].split(".")[0]))
    assert csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == "0123456789"
    usage = csr.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and usage.key_encipherment and usage.key_agreement and not usage.key_cert_sign
    for wrong in ('6,2,0,"no attribute"', '6,2,0,"CN=x","10101"', "6,8,0", "6,1,0"):
        assert terminal.at("AT%KEYGEN=" + wrong) == "\r\n+CME ERROR: 50\r\n"
        assert terminal.ok("AT%CMNG=1,6") == []  # nothing half made
    modem.attach()
    assert terminal.at("AT%KEYGEN=7,2,0") == "\r\n+CME ERROR: 518\r\n"


def test_attestation_token(modem):
    uuid, identity = factory(modem)
    for command in ("AT%ATTESTTOKEN", 'AT%ATTESTTOKEN="challenge"'):
        (line,) = modem.terminal.ok(command)
        payload, envelope = line.removeprefix('%ATTESTTOKEN: "').removesuffix('"').split(".")
        assert cose(envelope, identity, unb64(payload)) is None
        kind, who, device_type, firmware, nonce = plain(unb64(payload))
        assert (kind, who, device_type, len(firmware), len(nonce)) == (1, uuid, 6, 16, 16)
    text = modem.terminal.ok("AT%DEVICEUUID")[0].removeprefix("%DEVICEUUID: ")
    assert bytes.fromhex(text.replace("-", "")) == uuid
    assert modem.terminal.ok("AT%XMODEMUUID") == ["%XMODEMUUID: " + text]
    _, claims = verified(identity, jwt(modem, "0,0"))  # the same key signs an identity token
    assert claims["iss"] == "nRF9151." + text and "sub" not in claims


def test_content_is_looked_at(modem):
    terminal = modem.terminal
    for kind, content in ((0, "x"), (1, "-----BEGIN CERTIFICATE-----"), (2, "abc"), (3, "C0FFE")):
        assert terminal.at(f'AT%CMNG=0,9,{kind},"{content}"') == "\r\n+CME ERROR: 527\r\n"
    assert terminal.ok("AT%CMNG=1,9") == []


def test_nvm_outlives_the_process(tmp_path):
    options = (*FAST, "--nvs", tmp_path / "nvs")
    with running_modem(tmp_path, *options) as modem:
        terminal = modem.terminal
        terminal.ok('AT%CMNG=0,7,3,"C0FFEE"')
        terminal.ok("AT%XSYSTEMMODE=1,1,0,2")
        identity = json.loads(unb64(jwt(modem, "0,0").split(".")[0]))["kid"]
        modem.ask(do="reset")  # a mode that has not seen CFUN=0 is lost
        terminal.until(b"Ready\r\n")
        assert terminal.ok("AT%XSYSTEMMODE?") == ["%XSYSTEMMODE: 1,0,1,0"]
        assert len(terminal.ok("AT%CMNG=1")) == 1
        terminal.ok("AT%XSYSTEMMODE=1,1,0,2")
        terminal.ok("AT+CFUN=0")
    with running_modem(tmp_path, *options) as modem:
        terminal = modem.terminal
        assert terminal.ok("AT%XSYSTEMMODE?") == ["%XSYSTEMMODE: 1,1,0,2"]
        assert [line.split(",")[:2] for line in terminal.ok("AT%CMNG=1")] == [["%CMNG: 7", "3"]]
        assert json.loads(unb64(jwt(modem, "0,0").split(".")[0]))["kid"] == identity
