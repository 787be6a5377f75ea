"""Every REST handler of the twin, put together from a running server.Twin.

Called by server.py.
"""

from .openapi import document
from .rest_account import AccountRoutes
from .rest_app import make_app
from .rest_check import Checks
from .rest_devices import DeviceRoutes
from .rest_fota import FotaRoutes
from .rest_location import LocationRoutes
from .rest_messages import MessageRoutes
from .rest_onboard import OnboardRoutes
from .rest_provisioning import ProvisioningRoutes
from .rest_team import TeamRoutes
from .rest_twin import TwinRoutes
from .team import TeamDevices


def tables(twin):
    """Objects with routes(); where paths overlap the fixed one comes first."""
    store, devices = twin.store, twin.devices
    return [
        TwinRoutes(twin),
        AccountRoutes(store, devices, twin.tokens, twin.limits),
        TeamRoutes(TeamDevices(store)),
        OnboardRoutes(store, devices, twin.products, twin.downloads),
        DeviceRoutes(store, devices, twin.products, twin.downloads, twin.fota),
        MessageRoutes(store, devices, twin.inbox, twin.downloads),
        FotaRoutes(store, twin.bundles, twin.fota),
        ProvisioningRoutes(store, twin.provisioning),
        LocationRoutes(store, devices, twin.locations, twin.faults),
    ]


def rest_app(twin):
    """The starlette application."""
    return make_app(twin.callers, twin.records, tables(twin), Checks(document()), twin.faults)
