"""Shares of the rows E1 and H1 (tests/faults/kill.py, heap.py): kill -9 on the whole node, heap that ends."""

import pytest

from faults import heap, kill


@pytest.mark.limit(150)
def test_a_node_that_is_killed_while_it_updates(tmp_path):
    tally = kill.judge("share", 32, tmp_path / "day", 5, doomed=())
    assert tally.updates["SUCCEEDED"] >= 1 and len(tally.kills) >= 2


@pytest.mark.parametrize(
    ("way", "bits", "share", "first"), [("lock", 64, 40, 7), ("lock", 32, 40, 3), ("fill", 32, 11, 3)]
)
def test_allocations_that_fail(way, bits, share, first):
    told = heap.exhaust(way, bits, share, first)
    assert len([step for step, count in told["hits"].items() if count]) >= 2
