"""`godwit modem`: the simulator as a process.

Prints one JSON line when the PTY is ready, then events. SIGTERM and SIGINT end it cleanly; the link and the control
socket are removed. Exit status 1 with one line when an option cannot be honoured.
"""

import asyncio
import json
import os
import pathlib
import signal

import click

from godwit.dtls import NAMES, EngineError, choose
from godwit.modem import scenario, track
from godwit.modem.cells import Route
from godwit.modem.channel import PtyChannel
from godwit.modem.clock import SimClock
from godwit.modem.control import Control
from godwit.modem.core import Core
from godwit.modem.events import EventLog
from godwit.modem.faults import FaultBoard, FaultError, near
from godwit.modem.help import Help, faults_table, listing, timings_table
from godwit.modem.keystore import TYPES, Nvs
from godwit.modem.link import ResolveError, Resolver
from godwit.modem.profile import FAMILIES, personality
from godwit.modem.timing import TIMING
from godwit.world import World


@click.command(cls=Help)
@click.option("--family", type=click.Choice(list(FAMILIES)), default="nrf91", show_default=True,
              help="gnss is a u-blox receiver on a serial line of its own.")
@click.option("--model", help="Variant within the family; sara_r5: r510 (default) or r422.")
@click.option("--stock", is_flag=True, help="Serial Modem without assistance forwarding (PR #285).")
@click.option("--imei", default="352656100000001", show_default=True)
@click.option("--credential", multiple=True, metavar="TAG:TYPE=FILE", help="Install a credential at the factory.")
@click.option("--file", "files", multiple=True, metavar="NAME=PATH", help="Install a file at the factory.")
@click.option("--nvs", type=click.Path(file_okay=False), help="Folder that keeps credentials, files and settings.")
@click.option("--place", type=click.Choice(["day", "harbour"]), default="day", help="Travel, or stay in the harbour.")
@click.option("--track", type=click.Path(), help="Go this way instead: CSV of seconds,lat,lon[,alt[,rsrp]].")
@click.option("--resolve", multiple=True, metavar="HOST:PORT=ADDR:PORT", help="Where a name really is.")
@click.option("--nat-timeout", type=click.FloatRange(min=0), default=0, metavar="S",
              help="Seconds without a datagram after which the network forgets our port; 0 never.")
@click.option("--fault", multiple=True, metavar="NAME[=ARG]", help="Set a fault from the start; see --list-faults.")
@click.option("--scenario", type=click.Path(), help="File of rules: which fault when (FAULTS.md).")
@click.option("--timing", multiple=True, metavar="NAME=S", help="How long something takes; see --list-timings.")
@click.option("--seed", type=int, default=1, help="Of noise and random faults.")
@click.option("--list-faults", is_flag=True, is_eager=True, expose_value=False, callback=listing(faults_table),
              help="All faults with their arguments.")
@click.option("--list-timings", is_flag=True, is_eager=True, expose_value=False, callback=listing(timings_table),
              help="All timings with their seconds.")
@click.option("--link", type=click.Path(), help="Symbolic link to the PTY, for a fixed name.")
@click.option("--control", type=click.Path(), help="Unix socket for faults and questions.")
@click.option("--trace", type=click.Path(), help="File that gets every byte, one JSON line per read or write.")
@click.option("--json", "as_json", is_flag=True, help="Events as JSON lines.")
@click.option("--baud", type=click.IntRange(min=0), default=0, metavar="RATE",
              help="Pace the output as a UART would; 0 does not.")
@click.option("--world", "world_path", type=click.Path(), help="Shared world clock file.")
@click.option("--speed", type=click.FloatRange(min=1.0), default=1.0, metavar="N",
              help="Radio and GNSS waits run N times faster.")
@click.option("--patience", type=click.FloatRange(min=0.1), default=2.0, show_default=True, metavar="S",
              help="Real seconds that a network timeout takes at least, whatever the speed.")
@click.option("--dtls-engine", type=click.Choice(["auto", *NAMES]), default="auto", show_default=True)
def modem(**options):
    """Simulated modem on a PTY. Prints the name of the PTY, then what happens; Ctrl-C ends it.

    What it can do, family by family: tools/godwit/modem/README.md.
    """
    try:
        asyncio.run(_serve(options))
    except (ResolveError, FaultError, EngineError, OSError, ValueError) as err:
        raise click.ClickException(str(err)) from err


def build(options):
    """The parts, wired: (channel, session, core, clock, log). Needs a running loop."""
    clock = SimClock(World(options["world_path"]), options["speed"], options["patience"])
    log = EventLog(clock, options["as_json"])
    faults = FaultBoard(options["seed"])
    nvs = Nvs(options["nvs"])
    for text in options["credential"]:
        _install(nvs, text)
    package = personality(options["family"])
    for text in options["files"]:
        name, _, path = text.rpartition("=")
        root = "" if "/" in name else getattr(package, "FILE_ROOT", "")
        nvs.write_file(root + name, pathlib.Path(path).read_bytes())
    core = Core(clock, log, faults, nvs, Resolver(options["resolve"]), imei=options["imei"],
                profile=_profile(package, options["model"]),
                route=_route(options, clock), nat_timeout_s=options["nat_timeout"],
                timing=dict(_timing(t) for t in options["timing"]), engine=options["dtls_engine"])
    trace = _tracer(options["trace"], clock) if options["trace"] else None
    channel = PtyChannel(faults, log, options["baud"], trace)
    session = package.Session(core, channel, agnss=not options["stock"])
    for text in options["fault"]:
        faults.apply_text(text)
    if options["scenario"]:
        core.play(scenario.load(options["scenario"]))
    return channel, session, core, clock, log


def _route(options, clock):
    if options["track"]:
        return track.Track(track.load(options["track"]), clock.now_ms())
    return Route(fixed=options["place"] == "harbour")


def _profile(package, model):
    if model is None:
        return package.PROFILE
    models = getattr(package, "MODELS", {})
    if model not in models:
        raise ValueError(f"no such model: {model} (there are {', '.join(models) or 'none in this family'})")
    return models[model]


async def _serve(options):
    channel, session, core, clock, log = build(options)
    control = Control(options["control"], core) if options["control"] else None
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    channel.start()
    timers = asyncio.create_task(clock.run())
    link = pathlib.Path(options["link"]) if options["link"] else None
    try:
        if control:
            await control.start()
        if link:
            _point(link, channel.path)
        cid = choose(options["dtls_engine"]).CID
        log.ready(pty=channel.path, link=options["link"], control=options["control"], cid=cid)
        session.boot(first=True)
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((stopped, timers), return_when=asyncio.FIRST_COMPLETED)
        if timers.done():
            timers.result()  # a timer's handler failed: say so instead of standing still
    finally:
        timers.cancel()
        if control:
            control.close()
        if link and link.is_symlink() and os.readlink(link) == channel.path:
            link.unlink()
        log.event("bye", counters=core.counters())
        core.power_cut()
        channel.close()


def _point(link, target):
    temporary = link.with_name(link.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def _install(nvs, text):
    name, equals, path = text.partition("=")
    tag, colon, kind = name.partition(":")
    if not (equals and colon and tag.isdigit() and kind.isdigit() and int(kind) in TYPES):
        raise ValueError(f"not TAG:TYPE=FILE: {text}")
    nvs.put(int(tag), int(kind), pathlib.Path(path).read_text().strip())


def _timing(text):
    name, _, seconds = text.partition("=")
    if name not in TIMING:
        raise ValueError(f"no such timing: {name}{near(name, TIMING)}; see --list-timings")
    try:
        return name, float(seconds)
    except ValueError:
        raise ValueError(f"not NAME=SECONDS: {text}") from None


def _tracer(path, clock):
    stream = open(path, "a", buffering=1)  # lives as long as the process

    def record(direction, data):
        stream.write(json.dumps({"t": clock.now_ms(), direction: data.decode("latin-1")}) + "\n")

    return record
