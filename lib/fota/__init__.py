"""Over-the-air update of the application: a signed bundle into one of two slots, confirmed or rolled back.

`manifest` and `verify` decide whether an image may come in, `fetch` downloads it resumably into <root>/dl, `slots`
unpacks it, points the boot selector at it and confirms it. Nothing here knows a cloud. See README.md beside this
file for the format and the order of durable steps. Called by firmware/tasks/update.py. RAM owned: none.
"""


class FotaError(Exception):
    """An update that cannot go on. `reason` is one word of the table in README.md, `detail` what it is about;
    `final` is True when the same image will never be taken, False when another attempt may succeed."""

    final = False

    def __init__(self, reason, detail=None, final=None):
        super().__init__(reason if detail is None else "%s (%s)" % (reason, detail))
        if final is not None:
            self.final = final
        self.reason = reason
        self.detail = detail


class ManifestError(FotaError):
    """The manifest says, or is, something that this node does not accept."""

    final = True


class FetchError(FotaError):
    """The download cannot go on: image refused (`final`), damaged on its way, or the flash failed."""


class InstallError(FotaError):
    """The image is complete but could not be put into its slot."""
