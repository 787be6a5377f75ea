"""`godwit run`: the command line of the day. Parses, checks, runs day.py, turns trouble into one line and a status."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import click

from .options import FAMILIES, SABOTAGE, Options, parse_heap
from .processes import DayError

_SIDES = click.Choice(["host", "modem"])
_option = partial(click.option, show_default=True)


class _Heap(click.ParamType):
    name = "size"

    def convert(self, value, param, ctx):
        if isinstance(value, int):
            return value
        try:
            return parse_heap(value)
        except ValueError:
            self.fail(f"{value!r} is not a heap size such as 160k or 1m (at least 48k)", param, ctx)


@click.command("run", context_settings={"help_option_names": ["-h", "--help"]})
@_option("--bits", type=click.Choice(["32", "64"]), default="64", help="Word size of MicroPython.")
@_option("--heap", type=_Heap(), default="1m", help="Heap of the firmware, e.g. 160k.")
@_option("--modem", type=click.Choice(tuple(FAMILIES)), default="nrf91", help="Modem family.")
@click.option("--dtls", type=_SIDES, help="Who speaks DTLS [host; with sara_r5, which cuts long datagrams, modem].")
@_option("--jwt", type=_SIDES, default="host", help="Who signs the token.")
@_option("--drop", type=click.FloatRange(0, 0.5), default=0.0, help="Share of datagrams lost each way (0.05 = 5 %).")
@_option("--seed", type=int, default=1, help="Seed of losses, radio and receiver noise.")
@_option("--hours", type=click.FloatRange(0.05, 240), default=24.0, help="Length of the day.")
@_option("--speed", type=click.FloatRange(1, 1000), default=20.0, help="Radio waits run so much faster.")
@_option("--timeout", "timeout_s", type=click.FloatRange(1), default=150.0, help="Wall seconds for the day.")
@click.option("--outage", is_flag=True, help="Stop the twin for a while in mid-day.")
@click.option("--pdn-loss", is_flag=True, help="The network takes the bearer away, early in the day.")
@click.option("--sabotage", type=click.Choice(SABOTAGE), help="Break one thing; the node must refuse or be refused.")
@click.option("--coap-port", type=click.IntRange(1, 65535), help="UDP port of the twin [any; with --stay 5684].")
@click.option("--rest-port", type=click.IntRange(1, 65535), help="TCP port of the twin [any; with --stay 8080].")
@click.option("--stay", is_flag=True, help="Keep everything up when the day is over; Ctrl-C ends it.")
@click.option("--plain", is_flag=True, help="Plain lines even on a terminal.")
@click.option("--verbose", is_flag=True, help="Fold nothing, show debug lines.")
@click.option("--keep", is_flag=True, help="Keep the staged flash content for a look.")
@click.option("--workdir", type=click.Path(path_type=Path, file_okay=False), help="The day's files [build/day].")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write facts and checks as JSON.")
@click.pass_context
def run(ctx: click.Context, bits: str, workdir: Path | None, **choices) -> None:
    """Run a whole node for one compressed day against the cloud twin and the modem simulator.

    The exit status is 0 only when the twin's own records show all of it.
    """
    if workdir is not None:
        choices["workdir"] = workdir.resolve()
    from .day import Day  # the heavy imports only when a day really starts

    try:
        options = Options(bits=int(bits), **choices)
        status = asyncio.run(Day(options).run())
    except DayError as error:
        raise click.ClickException(str(error)) from error
    ctx.exit(status)
