"""Fields of AT lines: quote-aware splitting, integers, URC or read answer (27.007; modems.md 1.1 and 1.3.4).

Pure functions over bytes. Called by at.parser and by every modem driver. RAM: none of its own.
"""


def split(line):
    """-> parameters of `line` (bytes) after its `PREFIX: `, quote-aware: quotes removed, empty ones b"".

    `b'+CEREG: 5,1,"5A10"'` -> `[b"5", b"1", b"5A10"]`. Commas and line ends within quotes belong to the value.
    """
    i = line.find(b": ") + 2 if line[:1] in (b"+", b"%", b"#", b"*", b"^") and b": " in line else 0
    fields = []
    n = len(line)
    while i <= n:
        if line[i : i + 1] == b'"':
            end = line.find(b'"', i + 1)
            end = n if end < 0 else end
            fields.append(line[i + 1 : end])
            end = line.find(b",", end)
        else:
            end = line.find(b",", i)
            fields.append(line[i : n if end < 0 else end].strip())
        i = n + 1 if end < 0 else end + 1
    return fields


def scan_int(text, base=10):
    """-> the integer in `text` (bytes), or None when it is empty or not a number."""
    try:
        return int(text, base)
    except (ValueError, TypeError):
        return None


def readable(line):
    """-> `line` (bytes) as text for a log; what is no ASCII, noise perhaps, comes as escapes."""
    return str(line)[2:-1]


def is_urc(line):
    """Whether `line` of a `dual` prefix is the URC and not the read answer: by arity and type (modems.md 1.3.4).

    A read answer is `n,stat...` with a bare second field; a URC has none (`1`) or a quoted one (`1,"5A10"`).
    """
    comma = line.find(b",")
    return comma < 0 or not line[comma + 1 : comma + 2].isdigit()
