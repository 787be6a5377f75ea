"""`godwit cloud provision`: queue the commands that onboard a claimed device, and follow them to their end.

nrfcloud.md 13.1 and 13.3. The device fetches them when it asks next; a failed command takes all later ones with it.
A command is never queued twice by itself.
"""

import time
from dataclasses import dataclass, field

import click

from . import times
from .api import part
from .command import command
from .errors import CloudError, clean
from .screen import status
from .values import short

SEC_TAG = 16842753
_PENDING = ("PENDING", "QUEUED", "IN_PROGRESS", "SENT")
_GOOD = ("SUCCEEDED",)
_CAP_S, _IDLE_FACTOR = 15.0, 1.3
_FATAL = (400, 401, 403, 404, 422)


@dataclass
class Queued:
    """One command in the queue of a device."""

    name: str
    command_id: str
    status: str = "PENDING"
    document: dict = field(default_factory=dict)


@command()
@click.argument("device", metavar="UUID")
@click.option("--ca", "ca_files", multiple=True, type=click.Path(dir_okay=False), help="CA certificates, PEM.")
@click.option("--sec-tag", type=click.IntRange(0, 2**31 - 1), default=SEC_TAG, show_default=True, help="Where to.")
@click.option("--client-key", is_flag=True, help="Also a client private key, before the cloud access key.")
@click.option("--no-key", is_flag=True, help="No cloud access key: the device keeps the one it has.")
@click.option("--config", "settings", multiple=True, metavar="KEY=VALUE", help="A setting; may be repeated.")
@click.option("--no-follow", is_flag=True, help="Queue only.")
@click.option("--interval", type=click.FloatRange(0.2, 600), default=2.0, show_default=True, help="Look every .. s.")
@click.option("--for", "seconds", type=click.FloatRange(0), help="Give up waiting after so many seconds (status 1).")
def provision(cloud, device, ca_files, sec_tag, client_key, no_key, settings, no_follow, interval, seconds):
    """Have the claimed device UUID make its key, take CA certificates, and be finished."""
    requests = plan(ca_files, sec_tag, client_key, not no_key, settings)
    path = f"/claimed-devices/{part(device)}/provisioning"
    queue = _queue(cloud, path, requests)
    if no_follow:
        if cloud.as_json:
            return cloud.screen.json([{"id": one.command_id, "command": one.name} for one in queue])
        return cloud.screen.say("queued; the device takes them when it asks next", "dim")
    return _follow(cloud, path, device, queue, interval, seconds)


def plan(ca_files, sec_tag=SEC_TAG, client_key=False, access_key=True, settings=()):
    """The request objects in their order. CloudError for unreadable certificates or settings without "="."""
    requests = []
    if client_key:
        requests.append({"clientPrivateKeyGeneration": {"secTag": sec_tag}})
    if access_key:
        requests.append({"cloudAccessKeyGeneration": {"secTag": sec_tag}})
    if ca_files:
        from .keyfiles import read_certificates

        requests.append({"serverCertificate": {"content": read_certificates(ca_files), "secTag": sec_tag}})
    if settings:
        pairs = dict(text.partition("=")[::2] for text in settings)
        if not all("=" in text for text in settings) or not all(pairs):
            raise CloudError("--config takes key=value")
        requests.append({"config": pairs})
    return [*requests, {"finished": {}}]


def _queue(cloud, path, requests):
    queue = []
    for request in requests:
        name = next(iter(request))
        body = {"description": f"godwit: {name}", "request": request}
        try:
            answer = cloud.provisioning.call("POST", path, json=body, makes=f"the command {name}")
            number = answer.get("id") if isinstance(answer, dict) else None
            if not isinstance(number, str):
                raise CloudError("the service answered without the id of the command")
        except CloudError as error:
            if not queue:
                raise
            names = ", ".join(one.name for one in queue)
            text = f"{error.message}. Queued already: {names} (the device will run them)"
            raise CloudError(text, error.status, error.code) from error
        queue.append(Queued(name, number))
        cloud.screen.say(f"queued {name}", "cyan")
    return queue


def _follow(cloud, path, device, queue, interval, seconds):
    started, pause = time.monotonic(), interval
    try:
        while any(one.status in _PENDING for one in queue):
            if seconds is not None and time.monotonic() - started >= seconds:
                waiting = ", ".join(one.name for one in queue if one.status in _PENDING)
                raise CloudError(f"{device} has not done after {times.span(seconds)}: {waiting}")
            cloud.provisioning.wait(pause)
            moved = _look(cloud, path, queue)
            pause = interval if moved else min(max(interval, _CAP_S), pause * _IDLE_FACTOR)
    except KeyboardInterrupt:
        cloud.screen.note("the commands stay queued")
        raise
    good = all(one.status in _GOOD for one in queue)
    if cloud.as_json:
        cloud.screen.json_line({"deviceId": device, "provisioned": good})
    cloud.screen.say(f"{device} is provisioned" if good else "provisioning failed", "green" if good else "bold red")
    return 0 if good else 1


def _look(cloud, path, queue):
    """Fetch what is pending; tells what has changed. Returns whether something has."""
    moved = False
    for one in queue:
        if one.status not in _PENDING:
            continue
        try:
            document = cloud.provisioning.call("GET", f"{path}/{part(one.command_id)}")
        except CloudError as error:
            if error.status in _FATAL:
                raise
            cloud.screen.note(f"{error.message}; looking again")
            return moved
        document = document if isinstance(document, dict) else {}
        word = str(document.get("status", "PENDING"))
        if word != one.status:
            moved = True
            one.status, one.document = word, document
            _tell(cloud, one)
    return moved


def _tell(cloud, one):
    response = one.document.get("response")
    if cloud.as_json:
        told = {"id": one.command_id, "command": one.name, "status": one.status, "response": response}
        return cloud.screen.json_line(told)
    line = status(one.status).append(f"  {one.name}", "bold")
    if response and one.status not in _GOOD:
        line.append(f"  {clean(short(response))}", "red")
    cloud.screen.say(line)
