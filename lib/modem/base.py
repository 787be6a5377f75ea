"""What every modem family looks like from above: verbs, records, errors, capability names (modems.md section 8).

Called by firmware/tasks and lib/cloud through the object that modem.load() made. RAM: none beyond the instance.

Verbs (all async unless marked; times in ms; a verb that a family lacks is absent from `caps`, never a pretence):
    start()                              channel in sync from any state, settings made; idempotent
    attach(apn, timeout_ms, progress)    -> registration; returns at once when registered; progress(stat) is sync
    detach()  registered()               radio off; -> bool, asked of the modem
    identity()                           -> {"imei", "iccid", "imsi", "model", "firmware", "uuid", "app"}
    time()                               -> Unix time in s, or None while the network has not told it
    signal()                             -> {"rsrp_dbm", "rsrq_db"}
    cells(neighbours)                    -> cell record        search(count) -> list of cell records    (GCI)
    udp_open(host, port)                 -> datagram endpoint
    dtls_open(host, port, sec_tag, hostname, rx_bytes, timeout_ms, ca)  -> datagram endpoint            (DTLS)
        `ca` (PEM, bytes): stored under `sec_tag` first, by families whose credentials are files
        release() of either, where it has it (RAI): nothing follows, the network may have the connection back at once
        its `cid` (DTLS_CID): True when the server knows us by a connection ID, so that the association lives on when
        our address changes; then pause() puts it away, -> False if it cannot be, and resume() or the next send() takes
        it up again without a packet. Where the modem can keep sockets, it outlives detach() and the loss of the bearer.
    gnss_start(interval_s, timeout_s, forward)  gnss_fix(timeout_ms) -> fix or None  gnss_stop()        (GNSS)
        where the receiver works only while LTE is off (GNSS_ALONE): detach() first, or it is OSError(EALREADY)
    gnss_need(timeout_ms) -> need or None       agnss_inject(blob)  an answer of nRF Cloud's            (AGNSS)
    gnss_hint(unix_s, place)             what a receiver takes of them; after gnss_start    (TIMEHINT, POSHINT)
    xtra(source)  xtra_valid_s()         its maker's file of predictions: URL, or bytes                 (XTRA)
    jwt(subject, lifetime_s, sec_tag)    -> str; sec_tag None: signed with the factory's identity key    (JWT)
    attestation() -> str                 the token to claim the modem with                              (KEYGEN)
    execute(command, parameters) -> str  one command of a provisioning service; ValueError for others   (KEYGEN)
    power_save(tau_s, active_s, edrx_s)  sleep()  wake()                                                (PSM, SLEEP)
    battery_mv()  reset(level)           recovery ladder of modems.md 5.1: 0 probe .. 4 modem, 5 pin, 6 power
Attributes: `caps` (frozenset of str), `on_lost` (callable(reason: str) or None): sockets, or the bearer, are gone
(an endpoint with `cid` may go on; its send() says ECONNRESET if not); `restarted`: start() is due, it is all gone.

Records (unknown is None, never 255 or 65535):
    registration {"stat", "tac", "eci", "rat": "ltem"|"nbiot"}
    cell         {"mcc", "mnc", "tac", "eci", "rat", "earfcn", "pci", "rsrp_dbm", "rsrq_db", "snr_db", "ta",
                  "neighbours":
                  [{"earfcn", "pci", "rsrp_dbm", "rsrq_db", "time_diff"}]}
    fix          {"lat", "lon": int of 1e-7 degree, "alt_mm", "acc_mm", "speed_mm_s", "heading_mdeg", "time": Unix s}
    need         {"flags": int, "systems": {system: (ephemeris mask, almanac mask)}}  1 GPS, 3 QZSS; bit 0 = first PRN
Errors: OSError(ETIMEDOUT | ECONNRESET | ...), at.ATError (refused), Denied, SimError (attach).
"""

from at.errors import ATError  # noqa: F401  part of the contract: tasks take it from here

_FOR_LONG = (2, 3, 6, 7, 8)


class Denied(Exception):
    """The network refused to register us. `cause`: EMM cause or None. `for_long`: trying within hours is pointless."""

    def __init__(self, cause=None, text=None):
        if text is None:
            from modem.convert import CAUSES

            text = CAUSES.get(cause, "no reason given")
        super().__init__("registration denied: " + (text if cause is None else "%s (cause %d)" % (text, cause)))
        self.cause = cause
        self.for_long = cause in _FOR_LONG


class SimError(Exception):
    """The SIM does not let us in. `kind`: "missing", "pin" (a PIN is asked for that we have not, or that was wrong),
    "puk", "failure" (busy for too long, or broken)."""

    def __init__(self, kind, text=""):
        super().__init__("SIM %s%s" % (kind, ": " + text if text else ""))
        self.kind = kind


class Modem:
    """Base of the families: who is told when something is lost. See the module for the verbs."""

    caps = frozenset()

    def __init__(self, log=None):
        self.on_lost = None  # application: callable(reason)
        self.pin = None  # application: str, tried once per start() when the SIM asks for one
        self.restarted = True  # its settings are gone, and its sockets: start() is due
        self._log = log  # board: callable(text), or None

    def note(self, text, *args):
        """A line for the log, if the board gave one."""
        if self._log:
            self._log(text % args if args else text)

    def lost(self, reason):
        """Tell the application, once per loss."""
        self.note("lost: %s", reason)
        if self.on_lost:
            self.on_lost(reason)
