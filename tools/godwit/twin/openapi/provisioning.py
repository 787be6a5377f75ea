"""provisioning: not written yet."""

SCHEMAS = {}
OPERATIONS = []
