"""`godwit cloud`: the group, its options, and what every command of it gets.

A command is a function `(cloud, ...)` under `@command`, which adds --json and hands over a Cloud. The subcommands
are imported only when they are used or listed, as in godwit.cli.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from ..cli import LazyGroup

if TYPE_CHECKING:
    from .api import Api
    from .screen import Screen

COMMANDS = {
    "account": ("godwit.cloud.account:account", "Team, plan and limits that the key stands for."),
    "devices": ("godwit.cloud.devices:devices", "List, show, rename, tag and delete devices."),
    "onboard": ("godwit.cloud.onboard:onboard", "Add devices by certificate, public key, new key or CSV."),
    "messages": ("godwit.cloud.messages:messages", "List, watch and send messages."),
    "alerts": ("godwit.cloud.alerts:alerts", "List alerts, archive and restore them."),
    "logs": ("godwit.cloud.logs:logs", "Text logs of a device, or its binary logs as a zip file."),
    "shadow": ("godwit.cloud.shadow:shadow", "Show, patch and clean a device's shadow."),
    "firmware": ("godwit.cloud.firmware:firmware", "Upload, list and delete firmware bundles."),
    "fota": ("godwit.cloud.fota:fota", "Create, follow, cancel ... firmware updates over the air."),
    "history": ("godwit.cloud.location:history", "Where a device has been; also as GeoJSON."),
    "locate": ("godwit.cloud.location:locate", "Where a cell or some access points are (ground fix)."),
    "claim": ("godwit.cloud.claims:claim", "Claim a device by its attestation token."),
    "claimed": ("godwit.cloud.claims:claimed", "List claimed devices."),
    "unclaim": ("godwit.cloud.claims:unclaim", "Give up a claimed device."),
    "provision": ("godwit.cloud.provision:provision", "Have a claimed device make its keys, and follow it."),
}


class Cloud:
    """What a command works with: `api`, `provisioning` (both Api) and `screen`.

    Made without a network and without a key, so that --help and wrong usage need none. `wiring` overrides the
    transport and the clock of Api, for tests.
    """

    def __init__(self, options: dict[str, Any], wiring: dict[str, Any] | None = None):
        self._options = options
        self._wiring = wiring or {}
        self._as_json = options["as_json"]

    @property
    def as_json(self) -> bool:
        return self._as_json

    def want_json(self) -> None:
        """--json was given behind the subcommand."""
        self._as_json = True

    @cached_property
    def screen(self) -> Screen:
        from .screen import Screen

        return Screen(self._as_json)

    @cached_property
    def api(self) -> Api:
        """The core service."""
        return self.client(self.base)

    @cached_property
    def provisioning(self) -> Api:
        """The provisioning service."""
        from . import places

        text = self._options["provisioning_url"]
        base = places.base_url(text, self._options["plain_http"]) if text else places.provisioning_url(self.base)
        return self.client(base)

    @cached_property
    def base(self) -> str:
        from . import places

        return places.base_url(self._options["url"] or places.REAL_URL, self._options["plain_http"])

    def client(self, base: str, key: str | None = None) -> Api:
        """An Api; `key` in place of the account's key."""
        from . import places
        from .api import Api

        key = key or places.api_key(self._options["key"], self._options["key_file"])
        return Api(base, key, timeout_s=self._options["timeout"], note=self.screen.note, **self._wiring)


def command(group: click.Group | None = None, name: str | None = None, **settings: Any) -> Callable:
    """Decorator: a click command with --json whose function gets a Cloud first."""

    def decorate(function: Callable) -> click.Command:
        @click.pass_context
        @functools.wraps(function)
        def run(ctx: click.Context, *args: Any, as_json: bool, **options: Any) -> Any:
            cloud = ctx.find_object(Cloud)
            if as_json:
                cloud.want_json()
            return function(cloud, *args, **options)

        option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
        make = group.command if group else click.command
        return make(name, **settings)(option(run))

    return decorate


def confirm(yes: bool, question: str) -> None:
    """Ask before something is gone, unless --yes. CloudError when there is nobody to ask or the answer is no."""
    from .errors import CloudError

    try:
        if yes or click.confirm(question, err=True):
            return
    except click.Abort:
        raise CloudError(f"{question} Nobody to ask: give --yes") from None
    raise CloudError("nothing done")


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--url", envvar="GODWIT_CLOUD_URL", help="REST address; default: nRF Cloud. [env: GODWIT_CLOUD_URL]")
@click.option("--provisioning-url", envvar="GODWIT_PROVISIONING_URL", help="Provisioning service; follows --url.")
@click.option("--key-file", envvar="GODWIT_CLOUD_KEY_FILE", help="File with the API key; - reads it from stdin.")
@click.option("--key", envvar="GODWIT_CLOUD_KEY", help="API key. The shell remembers it: prefer env or a file.")
@click.option("--timeout", type=click.FloatRange(1, 600), default=30.0, show_default=True, help="For an answer, s.")
@click.option("--plain-http", is_flag=True, help="Allow http:// to another machine (the key can be read on the way).")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text; also behind each command.")
@click.pass_context
def cloud(ctx: click.Context, **options: Any) -> None:
    """Operate devices in nRF Cloud, or in a local twin of it.

    The API key comes from GODWIT_CLOUD_KEY, GODWIT_CLOUD_KEY_FILE or --key-file. For a twin:
    `export GODWIT_CLOUD_URL=http://127.0.0.1:8080 GODWIT_CLOUD_KEY=twin-api-key`.
    """
    wiring = ctx.obj if isinstance(ctx.obj, dict) else None
    by_hand = click.core.ParameterSource.COMMANDLINE
    if ctx.get_parameter_source("key_file") == by_hand != ctx.get_parameter_source("key"):
        options["key"] = None  # what was typed beats the environment
    ctx.obj = Cloud(options, wiring)
