"""REST query parameters that lists have in common: ranges of time (facts 14.1).

Called by rest_location.py.
"""

import datetime

from .errors import invalid

# parameter: operator; the last three are older names
_BOUNDS = (("start", ">="), ("end", "<"), ("inclusiveStart", ">="), ("exclusiveEnd", "<"), ("inclusiveEnd", "<="))


def time_range(request, column):
    """(WHERE parts, arguments) of start, end and their older names on a column of milliseconds. Raises ApiError 422."""
    where, args = [], []
    for name, operator in _BOUNDS:
        text = request.query_params.get(name)
        if text is not None:
            where.append(f"{column} {operator} ?")
            args.append(milliseconds(text, name))
    return where, args


def milliseconds(text, name):
    """Unix ms of an ISO-8601 date or date-time; without a zone it is UTC. Raises ApiError 422."""
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as exc:
        raise invalid(f"{name} is not an ISO-8601 date") from exc
