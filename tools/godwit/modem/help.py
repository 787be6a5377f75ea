"""What `godwit modem --help` and its lists look like: options by subject, faults and timings as tables."""

import shutil

import click

from godwit.modem.faults import CATALOGUE
from godwit.modem.timing import TIMING, TIMING_MEANING

# Heading -> options by their name in Python, in the order of the page. What is not named comes last.
_SUBJECTS = (
    ("Modem", ("family", "model", "stock", "imei", "credential", "files", "nvs")),
    ("World", ("place", "track", "resolve", "nat_timeout")),
    ("Trouble", ("fault", "scenario", "timing", "seed", "list_faults", "list_timings")),
    ("Wiring", ("link", "control", "trace", "as_json", "baud")),
)
_KINDS = (
    ("state", "Faults that hold until they are cleared (of a byte, or once: until it has come)"),
    ("action", "Faults that happen at once"),
)
_WIDEST = 100


class Help(click.Command):
    """A command whose options are listed by subject."""

    def format_options(self, ctx, formatter):
        left = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
        for heading, names in _SUBJECTS:
            with formatter.section(heading):
                formatter.write_dl([left.pop(name) for name in names], col_max=26)
        with formatter.section("Run"):
            formatter.write_dl([record for record in left.values() if record], col_max=26)


def listing(table):
    """-> callback of an option that prints what `table()` returns, and ends."""

    def show(ctx, _param, wanted):
        if wanted:
            click.echo(table())
            ctx.exit()

    return show


def faults_table():
    """-> every fault with its argument and meaning, by kind."""
    formatter = _formatter()
    for kind, meaning in _KINDS:
        with formatter.section(meaning):
            rows = sorted((name, arg, text) for name, (what, arg, text) in CATALOGUE.items() if what == kind)
            formatter.write_dl([(name + ("=ARG" if arg else ""), text) for name, arg, text in rows])
    formatter.write_paragraph()
    formatter.write_text("--fault mute=AT+CGSN --fault drop=0.05 sets two. A scenario file sets them when something "
                         "happens, and the control socket at any time: tools/godwit/modem/FAULTS.md")  # fmt: skip
    return formatter.getvalue().rstrip()


def timings_table():
    """-> every timing with its seconds and meaning."""
    formatter = _formatter()
    with formatter.section("Timings (seconds of world time). --timing scan=30 changes one"):
        formatter.write_dl([(f"{name}={seconds:g}", TIMING_MEANING[name]) for name, seconds in TIMING.items()])
    return formatter.getvalue().rstrip()


def _formatter():
    return click.HelpFormatter(width=min(shutil.get_terminal_size((80, 24)).columns, _WIDEST) - 2)
