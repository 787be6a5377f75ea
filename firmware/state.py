"""The few facts that tasks share. No logic: who sets what is said beside each line."""

import clock


class State:
    def __init__(self):
        self.link = clock.Signal()  # set by tasks.link while the cloud session is authenticated
        self.link_lost = clock.Signal()  # set by whoever saw it fail (fail()), cleared by tasks.link
        self.link_error = None  # the exception that took the link down, for the log
        self.reported = clock.Signal()  # set by tasks.shadow once the cloud has accepted this version's device info
        self.due_ms = 1800000  # tasks.link: clock.uptime_ms() by which its next step is due while there is no link
        self.heard = 0  # tasks.uplink: clock.uptime_ms() when one last went well; None: too long ago (tasks.health)
        self.sent = False  # tasks.uplink: a record was accepted since the start
        self.ladder = None  # tasks.ladder: the run of failures that is not over, dict
        self.records = clock.Signal()  # set when the journal has something worth an uplink
        self.identity = {}  # tasks.link: what modem.identity() said
        self.registration = {}  # tasks.link: what modem.attach() said
        self.control = None  # the control section in use: from app at start, then from tasks.shadow
        self.told = {}  # tasks.shadow: section of the device information -> checksum of what the cloud has of it
        self.visiting = False  # errands: one is being visited, and may use the buffer
        self.others_due = None  # errands: callable -> whether another errand than the one being visited should be
        self.job = None  # tasks.update: the job on offer (cloud.base) that the next visit goes on with
        self.job_ms = 0  # tasks.update: clock.uptime_ms() up to which the job's age is counted on flash
        self.silent = 0  # tasks.uplink: reports on a firmware job in a row whose answer did not come
        self.problem = None  # tasks.rise, errands: (last no of the cloud, or on the way to it; the rung that may help)
        self.crowded = False  # tasks.rise: provisioning has the buffer's place
        self.provision = clock.Signal()  # set by tasks.shadow when the cloud wants this node provisioned anew
        self.cell = None  # tasks.locate: last serving cell
        self.place = None  # tasks.locate: last position by the cloud
        self.fix = None  # tasks.locate: last GNSS fix
        self.low = False  # tasks.sample: the battery is
        self.tries = None  # tasks.locate: how the last searches of the sky went (tasks/plan.py)
        self.given = {}  # tasks.locate: what assistance the receiver was given, and when (cloud.base)
        self.lost = 0  # records: measurements that flash did not take
        self.heap_peak = 0  # tasks.health: most bytes seen in use after a collection
        self.health = 0  # tasks.uplink: clock.uptime_ms() from which the next report of it is due
        self.restarts = {}  # supervisor: task name -> how often it died
        self.died_ms = 0  # supervisor: clock.uptime_ms() of the last death

    def fail(self, error):
        """A request found the link dead: tell tasks.link why. Safe to call more than once."""
        if self.link.is_set():
            self.link_error = error
            self.job = None  # until the link is back the cloud may want something else
            self.link.clear()
            self.link_lost.set()
