"""The page of a day: which lines are shown, in which words and width, and what becomes of the rest."""

import io
import json
import sys

import pytest
from day_support import TOOLS

sys.path.insert(0, str(TOOLS))
from rich.console import Console

from godwit.day import timeline, words
from godwit.day.witness import Witness

HOUR_MS = 3600 * 1000


class Page:
    """A timeline on a string, with a clock that the test sets."""

    def __init__(self, width=200, **kwargs):
        self.now = self.start = 1_800_000_000_000 // 86_400_000 * 86_400_000 + 6 * HOUR_MS
        self.text = io.StringIO()
        console = Console(file=self.text, width=width, color_system=None, force_terminal=False)
        self.timeline = timeline.Timeline(
            console, now_ms=lambda: self.now, start_ms=self.start, length_ms=24 * HOUR_MS, live=False, **kwargs
        )

    def say(self, text, *, level="I", who="node", layer="app", **kwargs):
        self.timeline.say(who, layer, level, text, **kwargs)

    @property
    def lines(self):
        return self.text.getvalue().splitlines()


def test_line_has_time_who_layer_text():
    page = Page()
    page.now += 61_000
    page.say("attached [LTE-M]")
    assert page.lines == ["06:01:01  node     app      attached [LTE-M]"]


def test_repetition_is_folded_and_counted():
    page = Page()
    for number in range(40):
        page.say(f"sample {number}: 12.{number} C")
        page.now += 15 * 60_000
    page.timeline.stop()
    shown = [line for line in page.lines if line[8:10] == "  " and "sample" in line]
    folds = [line for line in page.lines if line[5] == "-"]
    assert (len(shown), len(folds)) == (2, 3)
    assert sum(int(line.split()[1]) for line in folds) == 38
    assert [line[:11] for line in folds] == ["06:00-10:00", "10:00-14:00", "14:00-16:00"]


def test_routine_is_one_sentence_of_counts():
    page = Page()
    sample, uplink = words.node_rule("sample", "temp (3 waiting)"), words.node_rule("uplink", "6 records accepted")
    message = words.request_rule("POST", "msg/d2c")
    for _ in range(3):
        page.say("temp (3 waiting)", layer="sample", rule=sample)
        page.say("POST /msg/d2c -> 2.01", who="cloud", rule=message)
        page.say("POST /msg/d2c -> 2.01", who="cloud", rule=message)
    page.say("1 records accepted", layer="uplink", rule=uplink)
    page.say("lost it", level="W")
    page.now += HOUR_MS
    page.timeline.stop()
    assert len(page.lines) == 4  # a sample, a message, the warning, the sentence
    assert page.lines[-1] == "06:00-07:00  3 samples, 1 uplink (6 messages)"


def test_visits_that_find_nothing_new_are_counted_too():
    page = Page()
    for text in ("told the receiver the time", "not moved since the last fix, 9 s ago", "no sky from here in 3 tries"):
        for _ in range(3):
            page.say(text, layer="locate", rule=words.node_rule("locate", text))
    page.now += HOUR_MS
    page.timeline.stop()
    assert len(page.lines) == 4 and page.lines[-1] == "06:00-07:00  3 positions kept, 3 searches left out"


def test_a_modem_that_leaves_the_network_for_its_receiver_is_told_once():
    page = Page()
    witness = Witness(page.timeline, lambda name, line: None)
    for number in range(4):
        for event in ({"event": "bearer_up", "ip": f"10.0.0.{number}"}, {"event": "detach"}, {"event": "pdn_down"}):
            witness.on_modem(json.dumps({"t": page.now, **event}))
    page.now += HOUR_MS
    page.timeline.stop()
    texts = [line[28:] for line in page.lines]
    assert texts == ["detached", *["bearer is down"] * 4]


def test_getting_up_is_news_after_every_boot_routine_is_not():
    page = Page()
    for _ in range(3):
        page.timeline.boot()
        for layer, text in (("app", "godwit 1.0.0 on unix"), ("sample", "temp (1 waiting)")):
            page.say(text, layer=layer, rule=words.node_rule(layer, text))
    assert [line.split()[2] for line in page.lines] == ["app", "sample", "app", "app"]


def test_trouble_comes_first_in_the_sentence():
    page = Page()
    for _ in range(7):
        page.say("temp (3 waiting)", layer="sample", rule=words.node_rule("sample", "temp (3 waiting)"))
        page.say("radio lost", level="W")
    page.timeline.stop()
    assert page.lines[-1] == "06:00-06:00  3 x node: radio lost; 7 samples"


def test_no_line_is_wider_than_the_page_and_a_warning_is_whole():
    page = Page(width=100)
    page.say("a " * 80)
    page.say("word " * 20 + "end", level="W")
    page.timeline.raw("node", "x" * 300)
    assert max(len(line) for line in page.lines) <= 100
    assert page.lines[0].endswith("…")
    assert page.lines[2].startswith(" " * 28) and page.lines[2].endswith("end")


def test_requests_in_words():
    event = {"method": "FETCH", "path": "loc/agnss", "query": "", "code": "2.05"}
    event.update(bytes_in=28, bytes_out=2040, format=60, answer_format=42)
    assert words.request_text(event) == "FETCH /loc/agnss -> 2.05, 28 B of CBOR up, 2,040 B down"
    assert words.short_ids("job 678160cd-f850-4c77-981b-287719f1d747 x") == "job 678160cd x"


def test_folding_can_be_forbidden_and_levels_count_apart():
    page = Page()
    for _ in range(5):
        page.say("download", fold=False)
    assert len(page.lines) == 5
    for _ in range(6):
        page.say("lost", level="W")
    assert len(page.lines) == 9  # four loud ones, then folded


def test_debug_lines_only_when_verbose():
    page, loud = Page(), Page(verbose=True)
    page.say("x", level="D")
    loud.say("x", level="D")
    assert (len(page.lines), len(loud.lines)) == (0, 1)


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        (None, "07:00:00"),
        (-30 * 60_000, "06:30:00"),  # a sender's stamp is better than the arrival
        (-2 * HOUR_MS, "07:00:00"),  # before the day began: not believed
        (+HOUR_MS, "07:00:00"),  # from the future: not believed
    ],
)
def test_stamps(stamp, shown):
    page = Page()
    page.now += HOUR_MS
    page.say("x", t_ms=None if stamp is None else page.now + stamp)
    assert page.lines[0].startswith(shown)


def test_page_reads_forwards_and_names_the_new_day():
    page = Page()
    page.now += HOUR_MS
    page.say("first")
    page.say("late", t_ms=page.now - 60_000)
    page.now += 20 * HOUR_MS
    page.say("second")
    assert [line[:8] for line in page.lines] == ["07:00:00", "07:00:00", page.lines[2][:8], "03:00:00"]
    assert page.lines[2].split()[0].endswith("day")


def test_download_without_terminal_is_a_line_every_quarter():
    page = Page()
    for done in range(0, 100_001, 1000):
        page.timeline.progress(done, 100_000)
    assert [line.split("]")[1].split()[0] for line in page.lines] == ["25", "50", "75", "100"]
    page.timeline.progress(5, 0)  # nonsense from the node is not a crash
    assert len(page.lines) == 4


def test_foreign_output_is_shown_and_not_taken_for_markup():
    page = Page()
    for _ in range(9):
        page.timeline.raw("node", "Traceback [bold] (most recent call last)")
    assert page.lines == ["06:00:00  node     Traceback [bold] (most recent call last)"] * 4
