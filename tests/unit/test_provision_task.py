"""firmware/tasks/provision.py and how tasks/rise comes to it: what outlives a power cut, when the service is asked."""

import unittest

import clock
import coap
import log
import store
from cloud.base import CONFIG, AuthError, CloudError
from config import Config
from harness import scratch
from harness.aio import run
from harness.virtual import START_MS, Board, together
from modem.base import ATError
from state import State
from tasks.link import Link
from tasks.provision import Provision
from tasks.shadow import Shadow

TAG = 16842753
KEYGEN = ("%KEYGEN", "16842753,2,0")
UUID = "50363154-3931-44f0-8022-121b6401627d"


class Modem:
    """A key store: `tags` that hold a key; `cut` names a command after which the power goes."""

    caps = frozenset(("KEYGEN",))
    on_lost = None

    def __init__(self):
        self.tags = set()
        self.cut = None
        self.told = []

    async def execute(self, command, parameters):
        self.told.append(command + "=" + parameters)
        fields = parameters.split(",")
        reply = "OK\r\n"
        if command == "%KEYGEN":
            if fields[0] in self.tags:
                raise ATError(b"AT%KEYGEN", b"+CME ERROR: 519")
            self.tags.add(fields[0])
        elif command != "%CMNG":
            raise ValueError("%s is not run for anybody" % command)
        elif fields[0] == "1" and fields[1] in self.tags:
            reply = '%%CMNG: %s,2,"00"\r\n' % fields[1] + reply
        elif fields[0] == "3":
            if fields[1] not in self.tags:
                raise ATError(b"AT%CMNG", b"+CME ERROR: 513")
            self.tags.remove(fields[1])
        if command == self.cut:
            self.cut = None
            raise OSError(104, "power cut")
        return reply

    async def jwt(self, subject, lifetime_s, sec_tag):
        return "token of %s for %d s by %s" % (subject or "nobody", lifetime_s, sec_tag)

    async def attestation(self):
        return "payload.proof"

    async def start(self):
        self.told.append("start")

    async def reset(self, level):
        pass

    async def detach(self):
        self.told.append("detach")

    async def identity(self):
        return {"model": "nRF9151", "firmware": "mfw", "imei": "352656100000001", "uuid": UUID}

    async def attach(self, apn, timeout_ms):
        self.told.append("attach")
        return {"stat": 1, "rat": "ltem", "tac": 1, "eci": 1}

    async def time(self):
        return START_MS // 1000


class Cloud:
    """Accepts only `accepted`; provisioning does `work(node)`, a list of functions used up one by one."""

    heard = 1 << 30

    def __init__(self, *work):
        self.versions = {}
        self.accepted = UUID
        self.device_id = None
        self.work = list(work)
        self.asked = []
        self.opened = []

    async def open(self):
        self.opened.append((clock.uptime_ms(), self.device_id))
        if self.device_id != self.accepted:
            raise AuthError("not accepted: 4.03")
        return 3600

    async def close(self, keep=False):
        pass

    async def provision(self, node):
        self.asked.append(clock.uptime_ms())
        return await (self.work.pop(0) if len(self.work) > 1 else self.work[0])(node)


async def key(node):
    """The service gives a cloud access key to make."""
    await node.offline()
    await node.execute("a", "%CMNG", "3,16842753,2")
    found = await node.execute("b", *KEYGEN)
    await node.online()
    return 0 if found[0] else 3


async def nothing(node):
    return 0


async def unclaimed(node):
    raise AuthError("not claimed: 4.03")


class Task(unittest.TestCase):
    def setUp(self):
        self.root = scratch.make()
        store.os.mkdir(self.root + "/data")
        self.put({"device_id": "node-1", "provisioning": True})
        self.board = Board().install()
        log.level = 0
        self.state = State()
        self.modem = Modem()

    def tearDown(self):
        scratch.remove(self.root)
        log.level = log.INFO
        clock.reset()

    def put(self, values):
        store.write_json(self.root + "/data/config.json", values)
        self.config = Config(self.root)

    def node(self, cloud=None):
        async def online():
            self.modem.told.append("online")

        return Provision(self.modem, self.config, cloud or Cloud(nothing), online)

    def files(self):
        return sorted(store.os.listdir(self.root + "/data"))

    def link(self, cloud, until=None):
        self.cloud = cloud
        together(Link(self.state, self.config, self.modem, cloud).run(), until=until or self.state.link.is_set)


class Commands(Task):
    def test_token_of_the_factory_key(self):
        self.assertEqual(run(self.node().token()), "token of nobody for 300 s by None")

    def test_refusals_are_answers(self):
        node = self.node()
        self.assertEqual(run(node.execute("a", "%CMNG", "3,5,2")), (513, "AT%CMNG: 513"))
        code, text = run(node.execute("a", "+CFUN", "0"))
        self.assertEqual(code, 0)
        self.assertTrue("not run" in text)
        self.assertEqual(run(node.execute("a", "%CMNG", "0,5,0,\"x\"")), (None, "OK\r\n"))
        self.assertEqual(self.files(), ["config.json"])  # nothing that has to be remembered

    def test_a_key_that_is_there_is_not_ours_to_delete(self):
        self.modem.tags.add("16842753")
        for _ in range(2):  # its answer may get lost, and the same command come again
            self.assertEqual(run(self.node().execute("b", *KEYGEN))[0], 519)
        self.assertEqual(self.modem.told, ["%CMNG=1,16842753,2", "%KEYGEN=16842753,2,0"] * 2)

    def test_a_key_whose_answer_was_lost_is_made_anew(self):
        self.modem.cut = "%KEYGEN"
        with self.assertRaises(OSError):
            run(self.node().execute("b", *KEYGEN))
        self.assertTrue("16842753" in self.modem.tags)
        del self.modem.told[:]
        again = self.node()  # after the restart, the same correlation
        self.assertEqual(run(again.execute("b", *KEYGEN)), (None, "OK\r\n"))
        self.assertEqual(self.modem.told, ["%CMNG=1,16842753,2", "%CMNG=3,16842753,2", "%KEYGEN=16842753,2,0"])

    def test_the_same_key_asked_for_by_another_command_is_refused(self):
        run(self.node().execute("b", *KEYGEN))
        self.assertEqual(run(self.node().execute("c", *KEYGEN))[0], 519)

    def test_power_cut_before_the_key_is_made(self):
        self.modem.cut = "%CMNG"
        with self.assertRaises(OSError):
            run(self.node().execute("b", *KEYGEN))
        self.modem.tags.add("16842753")  # by somebody else in the meantime
        self.assertEqual(run(self.node().execute("b", *KEYGEN))[0], 519)

    def test_settings(self):
        node = self.node()
        node.configure({"sample_interval_s": "300", "confirmable": "false"})
        self.assertEqual((self.config["sample_interval_s"], self.config["confirmable"]), (300, False))
        wrong = (
            {"sample_interval_s": "1"}, {"sample_interval_s": "x"}, {"confirmable": "no"}, {"host": "h"}, {"no": "1"},
            {"provisioning": "true"},
        )  # fmt: skip
        for one in wrong:
            with self.subTest(one=one):
                one = dict(one)
                one["uplink_interval_s"] = "600"
                with self.assertRaises(ValueError):
                    node.configure(one)
                self.assertEqual(self.config["uplink_interval_s"], 3600)  # all or none
        self.assertEqual(Config(self.root)["sample_interval_s"], 300)

    def test_damaged_memory_is_no_memory(self):
        store.write_bytes(self.root + "/data/provision.json", b"[1")
        self.assertEqual(run(self.node().execute("b", *KEYGEN)), (None, "OK\r\n"))


class Identity(Task):
    def test_becomes_its_uuid(self):
        self.link(Cloud(key))
        self.assertEqual([device for _, device in self.cloud.opened], ["node-1", UUID])
        self.assertEqual(self.modem.told, ["start", "attach", "attach", "detach", "%CMNG=3,16842753,2",
                                           "%CMNG=1,16842753,2", "%KEYGEN=16842753,2,0", "attach"])  # fmt: skip
        self.assertTrue(self.cloud.opened[1][0] - self.cloud.asked[0] >= 10000)  # the registration lags (13.1)
        fresh = Config(self.root)
        self.assertEqual((fresh["device_id"], fresh["jwt"], fresh["auth"]), ("{uuid}", "modem", "jwt"))
        self.assertFalse("provision.json" in self.files())

    def test_a_flash_that_does_not_take_the_name_is_asked_again(self):
        path = self.root + "/data/config.json"

        async def key_on_a_full_flash(node):
            store.os.remove(path)
            store.os.mkdir(path)  # nothing can be written there
            return await key(node)

        self.link(Cloud(key_on_a_full_flash))
        self.assertEqual(self.cloud.opened[-1][1], UUID)  # it is somebody else already
        self.assertTrue("provision.json" in self.files())  # and will know it after a restart
        store.os.rmdir(path)
        self.put({"device_id": "node-1", "provisioning": True})
        self.state = State()
        Board().install()
        self.link(Cloud(nothing))
        self.assertEqual(self.cloud.opened[-1][1], UUID)
        self.assertEqual(Config(self.root)["device_id"], "{uuid}")
        self.assertFalse("provision.json" in self.files())

    def test_a_node_without_a_name(self):
        self.put({"provisioning": True})
        self.link(Cloud(key))
        self.assertEqual([device for _, device in self.cloud.opened], ["", UUID])

    def test_a_key_elsewhere_does_not_change_who_we_are(self):
        async def other(node):
            await node.execute("b", "%KEYGEN", "5,2,1")
            return 1

        cloud = Cloud(other)
        cloud.accepted = "node-1"
        self.state.provision.set()
        self.link(cloud)
        self.assertEqual(([device for _, device in cloud.opened], len(cloud.asked)), (["node-1"], 1))

    def test_power_cut_between_the_key_and_the_name(self):
        async def cut(node):
            await key(node)
            raise coap.Timeout

        self.state.provision.set()
        with self.assertRaises(coap.Timeout):
            run(Provision(self.modem, self.config, Cloud(cut), self.modem.time).run())
        self.assertEqual(self.config["device_id"], "node-1")
        self.config = Config(self.root)
        self.link(Cloud(nothing))  # the answers had arrived: the service has nothing more
        self.assertEqual(self.config["device_id"], "{uuid}")


    def test_what_the_shadow_began_is_finished_after_a_restart(self):
        async def told_too_late(node):
            await key(node)
            raise coap.Timeout

        async def without_a_key(node):
            await node.execute("a", "%CMNG", "3,16842753,2")  # the one that the cloud knows
            raise coap.Timeout

        for cut, then in ((told_too_late, nothing), (without_a_key, key)):
            self.setUp()
            self.put({"device_id": "node-1"})  # not by itself
            with self.assertRaises(coap.Timeout):
                run(Provision(self.modem, self.config, Cloud(cut), self.modem.time).run())
            self.config = Config(self.root)
            cloud = Cloud(then)
            self.link(cloud, until=lambda cloud=cloud: self.state.link.is_set() or len(cloud.opened) > 5)
            self.assertEqual(cloud.opened[-1][1], UUID)
            self.tearDown()
        self.setUp()


class Asking(Task):
    def test_not_without_leave(self):
        self.put({"device_id": "node-1"})
        cloud = Cloud(key)
        self.link(cloud, until=lambda: len(cloud.opened) > 5)
        self.assertEqual(cloud.asked, [])

    def test_less_and_less_often_while_nobody_claims_it(self):
        cloud = Cloud(unclaimed)
        self.link(cloud, until=lambda: len(cloud.asked) > 8)
        gaps = [b - a for a, b in zip(cloud.asked, cloud.asked[1:])]
        self.assertTrue(min(gaps) >= 1800 * 1000, gaps)
        self.assertTrue(gaps[-1] >= 43200 * 1000, gaps)
        self.assertTrue(max(gaps) <= (86400 + 3600) * 1000, gaps)
        self.assertTrue(len(cloud.opened) > 2 * len(cloud.asked))  # and the core service in between

    def test_problems_of_the_line_are_tried_again_a_few_times(self):
        async def silent(node):
            raise coap.Timeout

        cloud = Cloud(silent)
        self.link(cloud, until=lambda: len(cloud.opened) > 1)
        self.assertEqual(len(cloud.asked), 4)

    def test_whatever_the_service_says_the_core_session_has_its_turn(self):
        class Response:
            code, payload, max_age = 0xA3, b"later", None

        for problem in (CloudError("stopped"), coap.Refused(Response), ATError(b"AT%JWT", b"+CME ERROR: 525")):
            self.setUp()

            async def broken(node, problem=problem):
                raise problem

            cloud = Cloud(broken)
            cloud.accepted = "node-1"
            self.state.provision.set()
            self.link(cloud)
            self.assertEqual((len(cloud.asked), len(cloud.opened)), (1, 1))
            self.assertFalse(self.state.provision.is_set())

    def test_a_modem_that_makes_no_keys(self):
        self.modem.caps = frozenset()
        cloud = Cloud(key)
        self.link(cloud, until=lambda: len(cloud.opened) > 2)
        self.assertEqual(cloud.asked, [])

    def test_the_shadow_asks(self):
        """A visit that finds the command ends with the link down, and tasks/link asks the service."""
        cloud = Cloud(key)
        cloud.accepted = "node-1"
        self.put({"device_id": "node-1"})

        def until():
            if self.state.link.is_set() and not cloud.asked:
                self.state.provision.set()
                run_visit(self.state, self.config)
                cloud.accepted = UUID
            return self.state.link.is_set() and bool(cloud.asked)

        self.link(cloud, until)
        self.assertEqual([device for _, device in cloud.opened], ["node-1", UUID])


def run_visit(state, config):
    """What a visit of tasks/shadow does when everything has been answered and the command was among it."""

    class Quiet(Shadow):
        def __init__(self):
            self._state, self._config = state, config
            self._cloud = self
            self.caps = (CONFIG,)

        async def poll(self):
            pass

        async def _tell_device(self):
            pass

    state.reported.set()
    visit = Quiet().visit()
    try:
        visit.send(None)
    except StopIteration:
        pass


if __name__ == "__main__":
    unittest.main()
