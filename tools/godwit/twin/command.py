"""`godwit twin`: start the cloud twin in the foreground.

Prints one JSON line when it is ready; then, with --json, one JSON line per event, otherwise readable
lines. SIGTERM and SIGINT end it cleanly.
"""

import asyncio
import json
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import click

from .. import dtls as dtls_engines
from ..world import World

DEFAULT_API_KEY = "twin-api-key"
_STYLES = {"handshake": "cyan", "auth": "green", "request": "white", "fota": "magenta", "rest": "blue"}
_SILENT = ("proxy",)  # one line per block helps nobody who reads


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--coap-port", default=0, type=click.IntRange(0, 65535), help="UDP port (0: any free one).")
@click.option("--rest-port", default=0, type=click.IntRange(0, 65535), help="TCP port (0: any free one).")
@click.option("--pki", type=click.Path(file_okay=False, path_type=Path), help="Directory made by godwit.pki.")
@click.option("--cert", type=click.Path(exists=True, dir_okay=False), help="Server certificate instead of the PKI's.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="Its private key.")
@click.option("--db", default=":memory:", show_default=True, help="SQLite file; an existing one is continued.")
@click.option("--api-key", default=DEFAULT_API_KEY, show_default=True, help="REST bearer key.")
@click.option("--max-age", default=2592000, type=click.IntRange(1, 2**32 - 1), help="Life of an authentication, s.")
@click.option("--world", "world_file", type=click.Path(dir_okay=False), help="World clock offset file.")
@click.option("--drop", default=0.0, type=click.FloatRange(0, 1), help="Loss per datagram and direction.")
@click.option("--seed", default=None, type=int, help="Seed of the loss.")
@click.option("--dtls-engine", "engine", type=click.Choice(["auto", *dtls_engines.NAMES]), default="auto")
@click.option("--scenario", type=click.Path(dir_okay=False), help="Faults and when they come, JSON or TOML.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per event.")
def twin(
    host, coap_port, rest_port, pki, cert, key, db, api_key, max_age, world_file, drop, seed, engine, scenario,
    as_json,
):  # fmt: skip
    """Run a local nRF Cloud: CoAP over DTLS for devices, REST for operators."""
    from . import dtls
    from .scenario import load
    from .server import Twin

    if bool(cert) != bool(key):
        raise click.UsageError("--cert and --key belong together")
    with tempfile.TemporaryDirectory(prefix="godwit-twin-") as scratch:
        try:
            cert, key = (cert, key) if cert else _pki_files(pki or Path(scratch))
            context = dtls.Context(cert, key, engine)
            world = World(world_file)
            rules = load(scenario) if scenario else ()
            instance = Twin(world, context, api_key, db, _printer(as_json, world), drop, seed, max_age, rules)
        except (OSError, ValueError, dtls_engines.EngineError) as exc:
            raise click.ClickException(str(exc)) from exc
        except sqlite3.Error as exc:
            raise click.ClickException(f"database {db}: {exc}") from exc
        asyncio.run(_serve(instance, host, coap_port, rest_port))


async def _serve(instance, host, coap_port, rest_port):
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    try:
        await instance.start(host, coap_port, rest_port)
    except OSError as exc:
        raise click.ClickException(str(exc)) from exc
    ready = {"event": "ready", "coap": instance.coap_port, "rest": f"http://{host}:{instance.rest_port}"}
    ready["cid"] = instance.cid
    print(json.dumps(ready), flush=True)
    await done.wait()
    await instance.stop()


def _pki_files(directory):
    from .. import pki

    if not (directory / "server.pem").exists():
        pki.make_pki(directory)
    return directory / "server.pem", directory / "server.key"


def _printer(as_json, world):
    """emit(event, **fields) for standard output."""
    if as_json:

        def emit(event, **fields):
            line = json.dumps({"event": event, "t": world.now_ms(), **fields}, default=str)
            _write(line + "\n")

        return emit
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)

    def emit(event, **fields):
        if event in _SILENT:
            return
        clock = time.strftime("%H:%M:%S", time.gmtime(world.now_s()))
        text = " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, ""))
        style = "red" if event.endswith("failed") or event == "error" else _STYLES.get(event, "dim")
        console.print(f"[dim]{clock}[/] [{style}]{event:<9}[/] {escape(text)}")

    return emit


def _write(text):
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever watched is gone; the twin goes on, records are in the database
        pass
