"""ThingsBoard over CoAP: the `cloud.base` contract mapped to the token form of its device API (platforms.md 1).

There is no session: the access token is a segment of every path. What the platform knows of a device is telemetry,
client attributes (the device writes them) and shared attributes (the server does). Here so
far: measurements and firmware updates. RAM: the CoAP client while open.
"""

from .. import base
from ..plain import PlainCloud


class Cloud(PlainCloud):
    """See PlainCloud. `token`: the access token; `title`: the name under which firmware for this node is uploaded
    (fw_title), told to the platform together with versions["cver"]."""

    caps = frozenset((base.PUBLISH, base.UPDATE, base.STEPS))
    package = "thingsboard"
    verbs = {
        "prove": "attributes",
        "publish": "telemetry",
        "update_check": "jobs",
        "update_read": "chunks",
        "update_report": "jobs",
    }

    def __init__(self, device_id, connect, token, versions=None, tuning=None, title="godwit"):
        if not token or "/" in token:
            raise ValueError("an access token is one segment of a path")
        super().__init__(device_id, connect, token, versions, tuning)
        self.title = title

    def path(self, feature):
        """-> the path of a feature of the device API. It holds the credential: not for a log."""
        return "api/v1/%s/%s" % (self.token, feature)
