"""The whole product, as a board would have it: .mpy files on a flash image, a 32-bit heap of 160 KB, provisioned from
nothing (no name, no key) by the service, then at work as the modem's UUID."""

import time

import pytest
from board_support import LIMIT_S, Firmware, make_flash, needs_32_bit
from modemsim_support import running_modem
from provisioning_support import TAG
from test_provisioning import CLAIMS, FAST, SERVICE, onboarding
from twin_support import running

_CONFIG = {
    "provisioning": True, "jwt": "modem", "sec_tag": TAG, "ack_timeout_ms": 500, "handshake_timeout_s": 5,
    "sample_interval_s": 600, "uplink_interval_s": 1800, "locate_interval_s": 10800, "shadow_interval_s": 3600,
}  # fmt: skip

# The size of the Amazon root that the service's rule has beside its own CA; what is in it nobody looks at.
AMAZON = "-----BEGIN CERTIFICATE-----\n" + ("A" * 64 + "\n") * 18 + "AAAA\n-----END CERTIFICATE-----\n"


@needs_32_bit
@pytest.mark.limit(150)
def test_a_board_from_nothing_to_its_first_messages(tmp_path, monkeypatch):
    world = tmp_path / "world"
    with running(tmp_path / "pki", "--world", str(world)) as twin:
        places, _ = make_flash(tmp_path / "day", {"ca": twin.pki / "ca.pem"}, monkeypatch, _CONFIG, jwt="modem")
        options_ = (*FAST, "--world", world, "--resolve", f"{SERVICE}=127.0.0.1:{twin.coap_port}")
        with running_modem(tmp_path, *options_) as modem:
            record = modem.ask(get="identity")
            uuid = record.pop("uuid")
            twin.rest.put(f"/twin/identities/{uuid}", json=record).raise_for_status()
            token = modem.terminal.ok("AT%ATTESTTOKEN")[0].split('"')[1]
            onboarding(twin, "board", AMAZON)
            twin.rest.post(CLAIMS, json={"claimToken": token, "tags": ["board"]}).raise_for_status()
            node = Firmware(places, modem.pty, world)
            try:
                modem.event("keygen", timeout_s=LIMIT_S)
            finally:
                node.stop()  # the power goes in the middle of it: what was made is on no record but the modem's
            first = "\n".join(node.said)
            node = Firmware(places, modem.pty, world)
            try:
                node.until(f"authenticated as {uuid}")
                node.until("reported version")
                end = time.monotonic() + LIMIT_S
                while not twin.rest.get("/v1/messages", params={"deviceId": uuid}).json()["items"]:
                    assert time.monotonic() < end, "\n".join(node.said)
                    time.sleep(0.2)
            finally:
                node.stop()
            made = [row["tag"] for row in modem.events("keygen")]
            kept = [(row["tag"], row["kind"], row["size"]) for row in modem.events("credential")]
        document = twin.rest.get(f"/v1/devices/{uuid}").json()
        done = twin.rest.get(f"{CLAIMS}/{uuid}/provisioning").json()["items"]
    text = "\n".join([first, *node.said])
    print(text)
    assert "MemoryError" not in text and "died" not in text
    assert set(made) == {TAG} and len(made) >= 2
    assert kept[-1] == (TAG, 0, len((tmp_path / "pki" / "ca.pem").read_text() + AMAZON))
    assert [row["status"] for row in done] == ["SUCCEEDED"] * 4
    assert document["state"]["reported"]["device"]["deviceInfo"]["imei"] == record["imei"]
