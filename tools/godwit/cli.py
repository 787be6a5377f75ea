"""The `godwit` command: a click group whose subcommands are imported only when they are used or listed.

A subcommand is one line in COMMANDS: its name, where its click command lives, and its line in `godwit --help`.
Expected errors are click.ClickException and end as one line with exit status 1; Ctrl-C ends quietly with 130.
"""

import importlib
import sys

import click

COMMANDS = {
    "run": ("godwit.day.command:run", "One compressed day of a whole node against twin and simulator."),
    "twin": ("godwit.twin.command:twin", "The cloud twin alone: a local nRF Cloud over CoAP and REST."),
    "modem": ("godwit.modem.command:modem", "The modem simulator alone: one of four families on a PTY."),
    "impair": ("godwit.impair:impair", "A bad UDP link in front of a server: loss, delay, rate, seeded."),
    "bench": ("bench.command:bench", "CoAP client and codecs beside others, measured in one run."),
    "cloud": ("godwit.cloud.command:cloud", "Devices in nRF Cloud or a twin: onboard, watch, update ..."),
    "bundle": ("godwit.release:bundle", "Build and sign a firmware bundle."),
    "keys": ("godwit.keys_command:group", "The keys that bundles are signed with: make, show, rotate."),
    "size": ("godwit.size:size", "What the firmware takes: flash and heap of each package."),
}


class LazyGroup(click.Group):
    """Keeps `--help` and every single subcommand free of the imports of the others. `table`: see COMMANDS."""

    def __init__(self, *args, table=COMMANDS, **settings):
        super().__init__(*args, **settings)
        self._table = table

    def list_commands(self, ctx):
        return list(self._table)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def godwit():
    """Godwit on the desk: run a node, its cloud and its modem. See README.md."""


def main(args=None):
    """Entry point; never returns."""
    try:
        status = godwit.main(args=args, prog_name="godwit", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)
