"""firmware/life: the tasks that a start has, also in safe mode, and how it ends, as the selector sees it."""

import unittest

import bootsel
import clock
import life
import log
from harness.boot_kit import WATCHDOG, Reset, SafeTest
from harness.virtual import Board, together


class LifeTest(SafeTest):
    def make_app(self, running):
        class App:
            pass

        class Link:
            release = None

        class Records:
            def alert(inner, kind, value, text):
                self.alerts.append((kind, value, text))

        from state import State

        log.level = 0
        self.alerts = []
        app = App()
        app.state, app.config, app.records, app.link, app.cloud = State(), {}, Records(), "link", Link()
        app.root, app.running, app.part, app.live, app.restart = self.root, running, None, None, self.machine.reset
        return app

    def tearDown(self):
        log.level = log.INFO
        super().tearDown()

    def test_safe_mode_is_health_link_uplink_and_update(self):
        for fails, names, errands in (
            (0, ["health", "sample", "link", "errands"], ["shadow", "uplink", "locate", "update"]),
            (3, ["health", "link", "errands", "safe"], ["uplink", "update"]),
        ):
            self.record(fails=fails)
            tasks = life.tasks(self.make_app(self.begin()[0]))
            self.assertEqual([name for name, _ in tasks], names)
            self.assertEqual([errand.name for errand in dict(tasks)["errands"]._table], errands)

    def test_safe_mode_says_so_and_tries_the_whole_node_after_six_hours(self):
        self.record(fails=6)
        app = self.make_app(self.begin(WATCHDOG)[0])
        clock.reset()
        self.virtual = Board().install()
        task = dict(life.tasks(app))["safe"]
        with self.assertRaises(Reset):
            together(task.run())
        self.assertEqual(clock.uptime_ms() // 1000, 21600)
        self.assertEqual(self.alerts, [("safe", 7, "safe mode, start 7 in a row: hung")])
        running, waited = self.begin()
        self.assertTrue(not running["safe"] and running["fails"] == 3 and waited <= 30)

    def test_how_a_start_ends(self):
        app = self.make_app(self.begin()[0])
        life.restart(app, "crashed", "task sample died: KeyError: x")
        running, _ = self.begin()
        self.assertEqual((running["fails"], running["died"]), (2, "crashed: task sample died: KeyError: x"))
        app = self.make_app(running)
        life.restart(app, None, "")
        self.assertEqual(self.fails(), 1)
        app.running = self.begin()[0]
        self.assertTrue(life.prove(app))
        self.assertEqual(self.fails(), 0)

    def test_an_end_that_flash_does_not_take_is_an_end(self):
        app = self.make_app(self.begin()[0])

        def broken(root, state):
            raise OSError(5)

        write, bootsel.write = bootsel.write, broken
        try:
            life.restart(app, "crashed", "x")
            self.assertFalse(life.prove(app))
        finally:
            bootsel.write = write
        self.assertEqual(self.fails(), 1)  # it was counted when it began

    def test_flash_that_left_the_factory_without_bootsafe(self):
        running = {"version": "1.0.0", "slot": "a", "pending": False, "fault": None}
        app = self.make_app(running)
        self.assertEqual([name for name, _ in life.tasks(app)], ["health", "sample", "link", "errands"])
        life.restart(app, "crashed", "x")
        life.restart(app, None, "")
        self.assertEqual(self.fails(), 0)


if __name__ == "__main__":
    unittest.main()
