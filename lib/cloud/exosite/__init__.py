"""Exosite One Platform over CoAP: the `cloud.base` contract mapped to dataports and content (platforms.md 2).

There is no session: the CIK is the first query option of every request. Here so far: firmware updates. The platform has
no assignment of firmware to a device, so one is agreed: four string dataports, made by the operator.

    fw_target   the operator writes   the content id that this node is to have; empty: none
    fw_state    the node writes       "started,<job id>": what it does
    fw_result   the node writes       "<end>,<job id>[,<detail>]": how the last job ended; <end> is
                                      succeeded, failed, rejected or timed_out
    fw_version  the node writes       what runs here, after each start

The job id is <content id>/<size>/<updated>, so that other bytes under the same content id are another job; the
content's meta is the version in it. Two dataports for what the node says: one may be written once a second only.
RAM: the CoAP client while open.
"""

from binascii import unhexlify

from micropython import const

from ..plain import PlainCloud

_CIK_SIZE = const(20)


class Cloud(PlainCloud):
    """See PlainCloud. `token`: the CIK as 40 hex digits; `vendor` and `model` name the content of this kind of node."""

    package = "exosite"
    verbs = {
        "prove": "dataports",
        "update_check": "jobs",
        "update_read": "content",
        "update_report": "jobs",
    }

    def __init__(self, device_id, connect, token, versions=None, tuning=None, vendor="", model=""):
        super().__init__(device_id, connect, token, versions, tuning)
        self.cik = unhexlify(token)
        if len(self.cik) != _CIK_SIZE:
            raise ValueError("a CIK has 40 hex digits")
        self.vendor = vendor
        self.model = model

    def content(self, content_id, more=""):
        """-> the path of a content, or with more="/info" of what is known about it."""
        return "provision/download/%s/%s/%s%s" % (self.vendor, self.model, content_id, more)
