"""The OpenAPI 3.1 document of the twin's /v1, put together from one file per area.

It is the source of truth: rest_check.py checks requests against it, the tests hold every route and every answer to
it, GET /v1/openapi.json serves it. Paths, names, patterns and limits are those of the service's own specification
(facts 14); what is different is said in the twin's README.
"""

import functools

from . import account, devices, fota, location, messages, onboarding, provisioning
from .parts import COMMON, DEVICE, KEY, SERVICE, error_responses

_AREAS = (account, devices, onboarding, messages, fota, location, provisioning)
_SCHEMES = {
    KEY: {"type": "http", "scheme": "bearer", "description": "The API key of the team"},
    DEVICE: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A device's ES256 token"},
    SERVICE: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of this API"},
}


@functools.cache
def document():
    """The whole document as a JSON object. Shared: do not change it."""
    paths, schemas = {}, dict(COMMON)
    for area in _AREAS:
        for path, method, operation in area.OPERATIONS:
            paths.setdefault(path, {})[method] = operation
        schemas |= area.SCHEMAS
    return {
        "openapi": "3.1.0",
        "info": {"title": "nRF Cloud REST API, as the cloud twin serves it", "version": "v1"},
        "servers": [{"url": "/v1"}],
        "paths": paths,
        "components": {"schemas": schemas, "responses": error_responses(), "securitySchemes": _SCHEMES},
    }
