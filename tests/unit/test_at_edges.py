"""The edges of modems.md 1.4: which test shows each, and here those of them that are the parser's."""

import unittest

from harness.at_events import clean, feed, make
from harness.rng import Rng, seed

HERE, CLIENT, DIALOGUE = "test_at_edges.py", "test_at_client.py", "test_at_dialogue.py"
TABLE = (  # edge, file, test
    (1, HERE, "test_01_urc_between_info_lines"),
    (2, HERE, "test_02_urc_before_result"),
    (3, HERE, "test_03_urc_between_echo_and_answer"),
    (4, HERE, "test_04_urc_glued_to_result"),
    (5, HERE, "test_05_split_between_cr_and_lf"),
    (6, HERE, "test_06_prompt_without_its_blank"),
    (7, DIALOGUE, "test_07_prompt_and_refusal_in_one_read"),
    (8, HERE, "test_08_blocks_are_counted"),
    (9, CLIENT, "test_09_block_cut_by_a_restart"),
    (10, DIALOGUE, "test_10_echo_after_ate0_is_a_restart"),
    (11, HERE, "test_11_noise_at_power_on"),
    (12, DIALOGUE, "test_12_boot_lines_of_every_family"),
    (13, HERE, "test_13_sms_news_have_two_lines"),
    (14, CLIENT, "test_14_late_result_does_not_answer_the_next_command"),
    (15, HERE, "test_15_error_as_text"),
    (16, HERE, "test_16_numeric_results"),
    (17, DIALOGUE, "test_17_news_twice_or_never"),
    (18, HERE, "test_18_long_lines"),
    (19, HERE, "test_19_lines_without_prefix"),
    (20, HERE, "test_20_prefix_differs_or_there_are_several"),
    (21, HERE, "test_21_empty_list"),
    (22, HERE, "test_22_closed_while_sending"),
    (23, CLIENT, "test_23_first_bytes_are_lost"),
    (24, CLIENT, "test_24_uart_stream"),
    (25, HERE, "test_25_connect_with_a_rate"),
    (26, HERE, "test_26_clock_news_at_any_time"),
    (27, HERE, "test_27_failure_after_an_info_line"),
    (28, DIALOGUE, "test_28_never_sent_twice"),
)


class Table(unittest.TestCase):
    def test_every_edge_has_its_test(self):
        self.assertEqual([edge for edge, _, _ in TABLE], list(range(1, 29)))
        folder = __file__.replace("\\", "/").rsplit("/", 1)[0]
        for name in (HERE, CLIENT, DIALOGUE):
            with open(folder + "/" + name) as f:
                text = f.read()
            for edge, where, test in TABLE:
                if where == name:
                    self.assertTrue(test.startswith("test_%02d_" % edge), test)
                    self.assertIn("    def %s(" % test, text)


class Edges(unittest.TestCase):
    """Those that are the parser's."""

    def check(self, command, how, data, expected, size=4096):
        for step in (0, 1, 2, 3, 7):
            parser, sink = make(size)
            if command:
                parser.begin(command, **how)
            feed(parser, data, step)
            self.assertEqual(sink.events, expected)
        return parser

    def test_01_urc_between_info_lines(self):
        self.check(
            b"AT+X?",
            {"prefix": b"+X:"},
            b"\r\n+X: 1\r\n\r\n+CEREG: 5\r\n\r\n+X: 2\r\n\r\nOK\r\n",
            [("info", b"+X: 1"), ("urc", b"+CEREG: 5"), ("info", b"+X: 2"), ("final", b"OK")],
        )

    def test_02_urc_before_result(self):
        self.check(
            b"AT+X?",
            {"prefix": b"+X:"},
            b"\r\n+X: 1\r\n\r\n+CEREG: 5\r\n\r\nOK\r\n",
            [("info", b"+X: 1"), ("urc", b"+CEREG: 5"), ("final", b"OK")],
        )

    def test_03_urc_between_echo_and_answer(self):
        self.check(
            b"AT+CEREG?",
            {"prefix": b"+CEREG:"},
            b'AT+CEREG?\r\r\n+CEREG: 5,"5A10","01A2B3C4",7\r\n\r\n+CEREG: 0,1\r\n\r\nOK\r\n',
            [("urc", b'+CEREG: 5,"5A10","01A2B3C4",7'), ("info", b"+CEREG: 0,1"), ("final", b"OK")],
        )

    def test_04_urc_glued_to_result(self):
        self.check(b"AT", {}, b"\r\nOK\r\n\r\n+CEREG: 5\r\n", [("final", b"OK"), ("urc", b"+CEREG: 5")])

    def test_05_split_between_cr_and_lf(self):
        parser, sink = make()
        parser.begin(b"AT")
        for part in (b"\r", b"\nO", b"", b"K\r"):
            feed(parser, part)
        self.assertEqual(sink.events, [("final", b"OK")])
        feed(parser, b"\n")
        self.assertEqual(sink.events, [("final", b"OK")])
        self.assertTrue(clean(parser))

    def test_06_prompt_without_its_blank(self):
        parser, sink = make()
        parser.begin(b"AT+CASEND=0,5", prompt=b">")
        feed(parser, b"\r\n>")
        self.assertEqual(sink.events, [("prompt",)])
        parser.data_sent()
        feed(parser, b" ")
        feed(parser, b"\r\nOK\r\n")
        self.assertEqual(sink.events, [("prompt",), ("final", b"OK")])

    def test_06_prompt_characters_elsewhere_mean_nothing(self):
        self.check(
            b"ATI",
            {"free": True},
            b"\r\na>b\r\n>\r\nOK\r\n",
            [("info", b"a>b"), ("info", b">"), ("final", b"OK")],
        )

    def test_07_error_instead_of_prompt(self):
        for line in (b"ERROR", b"+CME ERROR: 3", b"+CMS ERROR: 500"):
            self.check(b"AT+CASEND=0,5", {"prompt": b">"}, b"\r\n" + line + b"\r\n", [("fail", line)])

    def test_08_blocks_are_counted(self):
        nasty = b"\r\nOK\r\n> +++\r\nERROR\r\n\x00\xff\x1a@"
        self.check(
            None,
            {},
            b"\r\n#XRECV: 3,0,%d\r\n" % len(nasty) + nasty + b"\r\n\r\n+CEREG: 2\r\n",
            [("data", b"#XRECV: 3,0,%d" % len(nasty), nasty), ("urc", b"+CEREG: 2")],
        )

    def test_08_block_in_the_middle_of_a_line(self):
        self.check(
            b"AT+CARECV=0,9",
            {"prefix": b"+CARECV:"},
            b"\r\n+CARECV: 9,\r\nOK\r\n123\r\n\r\nOK\r\n",
            [("data", b"+CARECV: 9,", b"\r\nOK\r\n123"), ("final", b"OK")],
        )
        self.check(
            b"AT+USORF=0,5",
            {"prefix": b"+USORF:"},
            b'\r\n+USORF: 0,"192.0.2.1",5683,5,"a"\r\nb"\r\n\r\nOK\r\n',
            [("data", b'+USORF: 0,"192.0.2.1",5683,5,"', b'a"\r\nb'), ("final", b"OK")],
        )

    def test_09_block_larger_than_the_buffer(self):
        parser = self.check(
            None,
            {},
            b"\r\n#XRECV: 0,0,300\r\n" + b"\r\nOK\r\n" * 50 + b"\r\n+CEREG: 1\r\n",
            [("data", b"#XRECV: 0,0,300", None), ("urc", b"+CEREG: 1")],
            size=128,
        )
        self.assertEqual(parser.oversize, 1)

    def test_09_block_that_never_ends(self):
        parser, sink = make()
        feed(parser, b"\r\n#XRECV: 0,0,500\r\nabc")
        self.assertEqual(parser.raw_left, 497)
        feed(parser, b"Ready\r\n")  # the modem restarted, and its words fell into the block
        feed(parser, b"\r\nReady\r\n")
        parser.resync()
        self.assertEqual(parser.stalled, 1)
        self.assertEqual(sink.events, [("boot", b"Ready")])
        parser.begin(b"AT")
        feed(parser, b"\r\nOK\r\n")
        self.assertEqual(sink.events[-1], ("final", b"OK"))

    def test_09_absurd_lengths_are_lines(self):
        for count in (b"-5", b"70000", b"", b"x", b"99999999999999999999"):
            parser, sink = make()
            feed(parser, b"\r\n#XRECV: 0,0," + count + b"\r\n\r\n+CEREG: 1\r\n")
            self.assertEqual(sink.events[-1], ("urc", b"+CEREG: 1"))
            self.assertEqual(parser.unknown, 1)

    def test_10_echo_is_dropped(self):
        for echo in (b"AT+CMEE=1\r", b"AT+CMEE=1\r\n"):
            self.check(b"AT+CMEE=1", {}, echo + b"\r\nOK\r\n", [("final", b"OK")])
        self.check(
            b"ATI",
            {"free": True},
            b"ATI\r\r\nnRF9151\r\n\r\nOK\r\n",
            [("info", b"nRF9151"), ("final", b"OK")],
        )

    def test_11_noise_at_power_on(self):
        rng = Rng(seed(11))
        for _ in range(20):
            noise = bytes(b for b in rng.bytes(30) if b not in (10, 13))
            parser, sink = make()
            parser.synced = False
            feed(parser, noise + b"\x00\xffReady\r\n", 3)
            self.assertEqual(sink.events, [("boot", b"Ready")])
            self.assertEqual(parser.unknown, 0)

    def test_11_noise_before_a_boot_line_of_a_running_modem(self):
        for noise in (b"\x00\xfe\x80", b"\xfe~x", b"q#"):  # what looks like text is noise as well
            self.check(None, {}, noise + b"Ready\r\n", [("boot", b"Ready")])

    def test_12_boot_line_in_a_command(self):
        self.check(b"AT+CFUN=1", {}, b"\r\nRDY\r\n", [("boot", b"RDY")])
        self.check(b"AT+CGMR", {"free": True}, b"\r\nNORMAL POWER DOWN\r\n", [("boot", b"NORMAL POWER DOWN")])

    def test_13_sms_news_have_two_lines(self):
        self.check(
            b"AT+X?",
            {"prefix": b"+X:"},
            b'\r\n+CMT: ,24\r\nOK\r\n\r\nRING\r\n\r\n+CRING: VOICE\r\n\r\n+CMTI: "ME",3\r\n\r\nOK\r\n',
            [
                ("urc", b"+CMT: ,24\nOK"),
                ("urc", b"RING"),
                ("urc", b"+CRING: VOICE"),
                ("urc", b'+CMTI: "ME",3'),
                ("final", b"OK"),
            ],
        )

    def test_13_ring_and_daylight_saving_are_no_answers(self):
        parser, sink = make()
        parser.urcs = ()
        parser.begin(b"AT+CGMM", free=True)
        feed(parser, b"\r\nRING\r\n\r\nDST: 0\r\nSARA-R510M8S\r\n\r\nRING\r\n\r\nOK\r\n")
        self.assertEqual(sink.events, [("info", b"SARA-R510M8S"), ("final", b"OK")])

    def test_14_late_result_is_a_stray(self):
        for line in (b"OK", b"ERROR", b"+CME ERROR: 30"):
            parser = self.check(None, {}, b"\r\n" + line + b"\r\n", [])
            self.assertEqual(parser.strays, 1)

    def test_15_error_as_text(self):
        self.check(
            b"AT+CPIN?",
            {},
            b"\r\n+CME ERROR: SIM not inserted\r\n",
            [("fail", b"+CME ERROR: SIM not inserted")],
        )

    def test_16_numeric_results(self):
        parser = self.check(b"AT", {}, b"0\r", [("final", b"0")])
        self.assertTrue(parser.numeric)
        self.check(b"AT", {}, b"4\r", [("fail", b"4")])
        self.check(b"AT+CGSN", {"free": True}, b"\r\n4\r\n\r\nOK\r\n", [("info", b"4"), ("final", b"OK")])

    def test_18_long_lines(self):
        line = b"%NCELLMEAS: 0," + b"1234567890," * 360 + b"1"
        parser, sink = make()
        parser.urcs += (b"%NCELLMEAS:",)
        feed(parser, b"\r\n" + line + b"\r\n", 256)
        self.assertEqual(sink.events, [("urc", line)])

    def test_18_line_longer_than_the_buffer(self):
        parser, sink = make(64)
        feed(parser, b"\r\n+CEREG: " + b"x" * 100 + b"\r\n+CEREG: 1\r\n")
        self.assertEqual(sink.events, [("urc", b"+CEREG: 1")])
        self.assertEqual(parser.overflows, 1)

    def test_19_lines_without_prefix(self):
        self.check(
            b"AT+UCGED?",
            {"free": True, "prefix": b"+UCGED:"},
            b"\r\n+UCGED: 2\r\n6,4,262,01\r\n1300,3\r\n\r\nOK\r\n",
            [("info", b"+UCGED: 2"), ("info", b"6,4,262,01"), ("info", b"1300,3"), ("final", b"OK")],
        )

    def test_20_prefix_differs_or_there_are_several(self):
        self.check(
            b"AT+CGSN=1",
            {"prefix": b"+CGSN:"},
            b'\r\n+CGSN: "3526"\r\n\r\nOK\r\n',
            [("info", b'+CGSN: "3526"'), ("final", b"OK")],
        )
        self.check(
            b"AT+X",
            {"prefix": (b"+A:", b"+B:")},
            b"\r\n+A: 1\r\n+B: 2\r\nOK\r\n",
            [("info", b"+A: 1"), ("info", b"+B: 2"), ("final", b"OK")],
        )

    def test_21_empty_list(self):
        self.check(b"AT%CMNG=1", {"prefix": b"%CMNG:"}, b"\r\nOK\r\n", [("final", b"OK")])

    def test_22_closed_while_sending(self):
        parser, sink = make()
        parser.begin(b"AT+CASEND=0,5", prompt=b">")
        feed(parser, b"\r\n> ")
        parser.data_sent()
        feed(parser, b"\r\n+CASTATE: 0,0\r\n\r\nERROR\r\n")
        self.assertEqual(sink.events, [("prompt",), ("urc", b"+CASTATE: 0,0"), ("fail", b"ERROR")])

    def test_25_connect_with_a_rate(self):
        self.check(b"ATD*99#", {}, b"\r\nCONNECT 150000000\r\n", [("final", b"CONNECT 150000000")])
        self.check(b"AT+QFUPL", {"prompt": b"CONNECT"}, b"\r\nCONNECT 9600\r\n", [("prompt",)])

    def test_26_clock_news_at_any_time(self):
        clock = b'*PSUTTZ: 26,1,2,3,4,5,"+8",0'
        self.check(
            b"AT+CGMR",
            {"free": True},
            b"\r\n" + clock + b'\r\nDST: 0\r\n%XTIME: "80","62","00"\r\nmfw\r\n\r\nOK\r\n',
            [
                ("urc", clock),
                ("urc", b"DST: 0"),
                ("unknown", b'%XTIME: "80","62","00"'),
                ("info", b"mfw"),
                ("final", b"OK"),
            ],
        )

    def test_27_failure_after_an_info_line(self):
        self.check(
            b"AT#XSEND=0,0,0,x",
            {"prefix": b"#XSEND:"},
            b"\r\n#XSEND: 0,0,37\r\nERROR\r\n",
            [("info", b"#XSEND: 0,0,37"), ("fail", b"ERROR")],
        )

    def test_quoted_line_ends_belong_to_the_value(self):
        pem = b'%CMNG: 1,0,"AA","-----BEGIN\nabc\nOK\n-----END"'
        self.check(
            b"AT%CMNG=2,1,0",
            {"prefix": b"%CMNG:", "multiline": True},
            b"\r\n" + pem + b"\r\n\r\nOK\r\n",
            [("info", pem), ("final", b"OK")],
        )


if __name__ == "__main__":
    unittest.main()
