"""The bench's updates measure what they say: an update that ends armed, counts that fit the file, whole tables."""

import pytest

from bench import fota, fota_tables
from bench.jobs import LIBCOAP, Link

WAYS = (fota.PRODUCT, fota.DEFLATED, LIBCOAP)


@pytest.fixture(scope="module")
def found():
    return fota.measure(fota.Plan((1,), (0.0,), (1,), WAYS))


@pytest.mark.limit(90)
def test_every_run_ends_with_what_was_served(found):
    assert [(o.job.way, o.why) for o in found.outcomes if not o.good] == []
    assert {outcome.job.way for outcome in found.outcomes} == set(WAYS)
    for way in (fota.PRODUCT, fota.DEFLATED):
        name = fota.WAYS[way][1]
        size, payload = found.files[name]
        (outcome,) = found.of(Link(1), way)
        assert outcome.device["armed"]
        assert size < outcome.counts["down_bytes"] < size * 1.1
        blocks, told = -(-payload // 4096), found.idle[way].device
        assert blocks <= told["erases_fetch"] < told["erases"]
        assert told["before"] < told["peak"] < 160 * 1024
        assert told["verify_us"] > 200, "no signature of 3,072 bits is checked in less"


def test_a_deflated_update_is_smaller(found):
    assert found.files["deflated"][0] < 0.8 * found.files["plain"][0]


def test_tables(found):
    times, air, device = fota_tables.tables(found)
    assert times.rows[0][:2] == [1, "0%"] and "-" not in times.rows[0]
    plain, deflated = float(air.rows[0][2]), float(air.rows[0][4])
    assert 1.0 < plain < 1.2 and deflated < plain
    assert all("-" not in row for row in device.rows)
    assert "0 of 3 runs failed" in " ".join(fota_tables.facts(found))
