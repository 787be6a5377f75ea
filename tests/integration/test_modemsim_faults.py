"""Faults of the line and of answers are seen at the wire, in every family (modems.md 7.3; FAULTS.md)."""

import asyncio
import re

import pytest
from modemsim_bench import FAMILIES, Bench
from modemsim_support import ROOT

from godwit.modem.faults import CATALOGUE
from godwit.modem.sockets import POISON

IMEI = b"\r\n352656100000001\r\n\r\nOK\r\n"
OK, ERROR = b"\r\nOK\r\n", b"\r\nERROR\r\n"
every_family = pytest.mark.parametrize("family", FAMILIES)

# family -> how it is asked for a datagram, and what stands before the bytes
FETCH = {
    "nrf91": ("AT#XRECV=0,0,64,1", b"\r\n#XRECV: 0,0,%d\r\n"),
    "sara_r5": ("AT+USORF=0,1024", b'\r\n+USORF: 0,"192.0.2.66",6666,%d,"'),
    "bg95": ("AT+QIRD=0,1500", b"\r\n+QIRD: %d\r\n"),
    "sim7080": ("AT+CARECV=0,1460", b"\r\n+CARECV: %d,"),
}
# family -> how four bytes are sent, and its prompt
PROMPTS = {
    "sara_r5": ("AT+USOWR=0,4", b"\r\n@"),
    "bg95": ("AT+QISEND=0,4", b"\r\n> "),
    "sim7080": ("AT+CASEND=0,4", b"\r\n> "),
}


def test_every_fault_has_a_line_in_the_catalogue_and_a_test():
    table = (ROOT / "tools/godwit/modem/FAULTS.md").read_text()
    cells = re.findall(r"^\| (`[^|]+`) \|", table.partition("## Scenarios")[0], re.MULTILINE)
    lines = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert lines == CATALOGUE.keys()
    tests = "".join(path.read_text() for path in (ROOT / "tests/integration").glob("test_modemsim_*.py"))
    assert [name for name in CATALOGUE if not re.search(rf"[\"'={{]{name}[\"'=]", tests)] == []


def run(scenario, family="nrf91", **options):
    """One scenario (an async function of the bench) on a modem of its own."""

    async def whole():
        async with Bench(family, **options) as bench:
            await scenario(bench)

    asyncio.run(whole())


@every_family
def test_damaged_bytes(family):
    async def scenario(bench):
        await bench.plain()
        for name, expected in (("drop_byte", IMEI[:4] + IMEI[5:]), ("dup_byte", IMEI[:4] + IMEI[4:5] + IMEI[4:])):
            bench.faults.apply(name, 5)
            bench.write(b"AT+CGSN\r")
            assert await bench.said() == expected
        bench.faults.apply("flip_byte", 5)
        bench.write(b"AT+CGSN\r")
        said = await bench.said()
        assert said[:4] + said[5:] == IMEI[:4] + IMEI[5:] and (said[4] ^ IMEI[4]).bit_count() == 1
        bench.faults.apply("baud")
        bench.write(b"AT+CGSN\r")
        said = await bench.said()
        assert len(said) == len(IMEI) and said != IMEI
        bench.faults.clear("baud")
        assert await bench.at("AT+CGSN") == IMEI
        bench.faults.apply("flip", 1.0)
        bench.write(b"AT+CGSN\r")
        assert all((a ^ b).bit_count() == 1 for a, b in zip(await bench.said(), IMEI, strict=True))
        bench.faults.clear("flip")
        for name, sent in (("drop_in", b"AT++CGSN\r"), ("dup_in", b"AT+CGSN\r"), ("flip_in", b"AT+CGSN\r")):
            bench.faults.apply(name, 3)
            bench.write(sent)
            said = await bench.said()
            assert (said == IMEI) == (name == "drop_in") and said.endswith((OK, ERROR, b"ERROR: 4\r\n")), (name, said)
            assert await bench.at("AT+CGSN") == IMEI

    run(scenario, family)


@every_family
def test_lines_that_nobody_asked_for(family):
    async def scenario(bench):
        await bench.plain()
        noise = "|".join(re.escape(text) for text in bench.session.noise).encode()
        plain = await bench.at("ATI")
        first, rest = re.fullmatch(rb"(\r\n[^\r]+\r\n)(.+)", plain, re.DOTALL).groups()
        for place, pattern in (
            ("before", rb"\r\n(%s)\r\n" % noise + re.escape(plain)),
            ("inside", re.escape(first) + rb"\r\n(%s)\r\n" % noise + re.escape(rest)),
            ("after", re.escape(plain.removesuffix(OK)) + rb"\r\n(%s)\r\n" % noise + re.escape(OK)),
            ("glued", re.escape(plain) + rb"\r\n(%s)\r\n" % noise),
        ):
            bench.faults.apply("urc_inside", place, count=1)
            bench.write(b"ATI\r")
            assert re.fullmatch(pattern, await bench.said()), (place, bench.wire.out)
            assert len(bench.wire.writes) == 1  # glued to each other
        bench.wire.out.clear()
        bench.faults.apply("storm", 5)
        said = await bench.said()
        assert said == b"".join(b"\r\n%s\r\n" % bench.session.noise_line(i).encode() for i in range(5))
        bench.faults.apply("urc_lost", 1.0)
        bench.wire.out.clear()
        bench.faults.apply("storm", 5)
        assert await bench.said() == b""
        bench.faults.clear("urc_lost")
        bench.faults.apply("urc_twice", 1.0)
        bench.faults.apply("storm", 1)
        assert await bench.said() == b"\r\nRING\r\n" * 2

    run(scenario, family)


async def took(bench, *parts):
    """Seconds until the IMEI was said, and nothing else."""
    before = asyncio.get_running_loop().time()
    bench.write(parts[0])
    for part in parts[1:]:
        bench.wire.on_bytes(part)
    await bench.until(IMEI)
    assert bytes(bench.wire.out) == IMEI
    return asyncio.get_running_loop().time() - before


@every_family
def test_answers_that_fail_to_come_or_come_twice(family):
    async def scenario(bench):
        await bench.plain()
        bench.faults.apply("mute", "AT+CGSN", count=1)
        bench.write(b"AT+CGSN\r")
        assert await bench.said() == b""
        bench.faults.apply("late", "AT+CGSN:0.1", count=1)
        assert await took(bench, b"AT+CGSN\r") >= 0.1
        bench.faults.apply("error", "AT+CGSN", count=1)
        assert await bench.at("AT+CGSN") == ERROR
        bench.faults.apply("final_twice", count=1)
        assert await bench.at("AT+CGSN") == IMEI + OK
        assert await bench.at("AT+CGSN") == IMEI

    run(scenario, family)


@every_family
def test_power_glitches_at_any_byte(family):
    async def scenario(bench):
        await bench.plain()
        bench.faults.apply("reboot_out", 8)
        bench.write(b"AT+CGSN\r")
        await bench.event("boot", 2)
        assert bytes(bench.wire.out).startswith(IMEI[:7]) and IMEI not in bench.wire.out
        await bench.plain()
        bench.faults.apply("reboot_in", 4)
        bench.write(b"AT+CGSN\r")
        await bench.event("boot", 3)
        assert IMEI not in bench.wire.out
        await bench.plain()
        bench.faults.apply("reboot_on", "AT+CGSN", count=1)
        bench.write(b"AT+CGSN\r")
        await bench.event("boot", 4)
        assert IMEI not in bench.wire.out
        bench.faults.apply("boot_garbage", 30, count=1)
        bench.faults.apply("echo")
        bench.wire.out.clear()
        bench.faults.apply("reboot")
        await bench.event("boot", 5)
        assert len(bench.wire.writes[0]) >= 7 and any(len(data) == 30 for data in bench.wire.writes)
        assert (await bench.at("AT+CGSN")).endswith(b"AT+CGSN\r" + IMEI)
        bench.faults.apply("crash")
        if family == "nrf91":
            await bench.until(b"#XMODEM: INIT,0\r\n")
            assert bench.log.counters["boot"] == 5
        else:
            await bench.event("boot", 6)

    run(scenario, family)


@every_family
def test_a_uart_that_sleeps_or_does_not_read(family):
    async def scenario(bench):
        await bench.plain()
        bench.faults.apply("sleepy", 3)
        bench.session.wire._heard -= 1  # a second has passed
        bench.write(b"AT+CGSN\r")
        assert await bench.said() == b""  # what is left does not begin with AT
        bench.faults.clear("sleepy")
        assert await bench.at("AT+CGSN") == IMEI
        bench.faults.apply("stall", 0.1)
        assert await took(bench, b"AT+CG", b"SN\r") >= 0.1

    run(scenario, family)


@every_family
def test_poisonous_datagrams_and_counts_that_lie(family):
    fetch, head = FETCH[family]

    async def scenario(bench):
        await bench.connected()
        for off in (None, 4, -4):
            bench.faults.apply("poison")
            await bench.said(0.005)
            if off:
                bench.faults.apply("length", off, count=1)
            bench.write(fetch.encode() + b"\r")
            said = await bench.said()
            count = len(POISON) - 4 if off == -4 else len(POISON)
            data = POISON[:-4] if off == 4 else POISON
            assert (head % count + data) in said and said.endswith(OK), (off, said)

    run(scenario, family)


@pytest.mark.parametrize("family", PROMPTS)
def test_prompts(family):
    command, prompt = PROMPTS[family]

    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("prompt_error", count=1)
        assert (await bench.at(command)).endswith(ERROR)
        bench.faults.apply("urc_inside", "prompt", count=1)
        bench.write(command.encode() + b"\r")
        said = await bench.said()
        assert said.endswith(prompt) and len(said) > len(prompt)
        await asyncio.sleep(0.05)
        bench.faults.apply("storm", 1)  # waits until the payload is in, and no longer
        bench.write(b"abcd")
        await bench.until(b"OK\r\n")
        assert bytes(bench.wire.out).startswith(b"\r\nRING\r\n")
        bench.faults.apply("prompt_tight", count=1)
        bench.write(command.encode() + b"\r")
        assert await bench.said() == prompt.rstrip(b" ")
        await asyncio.sleep(0.05)
        bench.write(b"abcd")
        await bench.until(b"OK\r\n")
        bench.write(command.encode() + b"\r")
        assert await bench.said() == prompt
        await asyncio.sleep(0.05)
        bench.write(b"abcdAT+CGSN\r")  # the next command is waiting
        await bench.until(b"352656100000001")

    run(scenario, family)


def test_payload_too_soon_after_a_prompt_counts_or_is_lost():
    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("prompt_strict")
        bench.write(b"AT+USOWR=0,4\r")
        await bench.until(b"@")
        bench.session._phase._ready += 60  # so that no pause of this machine can make it late
        bench.wire.on_bytes(b"abcd")
        assert await bench.said() == b"\r\n@"
        bench.session._phase._ready -= 120
        bench.wire.on_bytes(b"abcd")
        await bench.until(b"+USOWR: 0,4\r\n\r\nOK\r\n")

    run(scenario, "sara_r5")


def test_data_mode_that_splits_and_that_fails():
    async def scenario(bench):
        await bench.connected()
        bench.faults.apply("data_pause", 3, count=1)
        await bench.at("AT#XSEND=0,2,0,8")
        bench.write(b"12345678")
        await bench.until(b"#XDATAMODE: 0\r\n")
        assert bench.log.counters["data_split"] == 1
        await asyncio.sleep(0.01)
        assert bench.log.counters["datagrams_up"] == 2
        bench.faults.apply("no_data")
        await bench.at("AT#XSEND=0,2,0,8")
        bench.write(b"12345678")
        await bench.until(b"+++\r\n#XDATAMODE: -1\r\n")

    run(scenario)
