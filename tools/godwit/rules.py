"""Scenario files of the twin and the modem simulator: lists of {"when": {kind: value, ...}, "do": {name: value, ...}}.

JSON, or TOML below `[[rules]]`. What the kinds and names are is each simulator's own; here is what both expect of the
form. Called by godwit.twin.scenario and godwit.modem.scenario.
"""

import json
import tomllib
from pathlib import Path

_MAX_RULES = 1000


class ScenarioError(ValueError):
    """A scenario file that says nothing we know; str() says where."""


def read(path, rule):
    """-> what `rule(when, do, place)` makes of each entry of the file. Raises ScenarioError, OSError."""
    text = Path(path).read_bytes()
    try:
        value = tomllib.loads(text.decode()) if Path(path).suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ScenarioError(f"{path}: {exc}") from exc
    return each(value.get("rules") if isinstance(value, dict) else value, path, rule)


def each(rules, path, rule):
    """The same of a list in memory; `path` is for errors."""
    if not isinstance(rules, list) or len(rules) > _MAX_RULES:
        raise ScenarioError(f"{path}: a list of rules is expected")
    return [_one(item, f"{path}, rule {number}", rule) for number, item in enumerate(rules, 1)]


def _one(item, place, rule):
    if not isinstance(item, dict) or item.keys() != {"when", "do"}:
        raise ScenarioError(f'{place}: {{"when", "do"}} is expected')
    if not isinstance(item["when"], dict) or not isinstance(item["do"], dict) or not item["do"]:
        raise ScenarioError(f"{place}: when and do are objects")
    return rule(item["when"], item["do"], place)


def kind_of(when, kinds, place):
    """-> the one key of `when` that is in `kinds` (dict: kind -> its further keys). Raises ScenarioError."""
    found = [kind for kind in kinds if kind in when]
    if len(found) != 1:
        raise ScenarioError(f"{place}: when has one of {', '.join(kinds)}")
    unknown = when.keys() - {found[0], *kinds[found[0]]}
    if unknown:
        raise ScenarioError(f"{place}: when does not know {', '.join(sorted(unknown))}")
    return found[0]
