"""location: not written yet."""

SCHEMAS = {}
OPERATIONS = []
