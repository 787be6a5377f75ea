"""modem.sara_r5 over a scripted modem: DTLS with a stored certificate, and the serving cell in both forms."""

import unittest
from errno import ECONNABORTED, ETIMEDOUT

from harness import sara_script
from harness.sara_script import ERROR, errno_of, said
from modem.pem import name
from modem.sara_r5.cells import parse_ucged

SEARCHING = {"stat": 2, "tac": None, "eci": None, "rat": None}
CME3 = b"\r\n+CME ERROR: 3\r\n"
CA = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
NAME = name(42, CA)


def drive(body, answers=None, timeout_s=8):
    return sara_script.drive(body, answers, None, timeout_s)



class Secure(unittest.TestCase):
    def open(self, answers=None, ca=CA):
        async def body(m, fake):
            return await errno_of(m.dtls_open("coap.nrfcloud.com", 5684, 42, "coap.nrfcloud.com", ca=ca))

        got, fake, _ = drive(body, answers)
        return got, fake.commands(), fake.payloads

    def test_first_time(self):
        """The certificate is stored, one of before goes, and each thing is verified."""
        listed = {"AT+USECMNG=3": said(b'"CA","ca42_0123.pem","Some CA","2030/01/01"', b'"CA","ca7_42.pem","x","y"')}
        got, sent, payloads = self.open(listed)
        wanted = [
            "AT+USECMNG=3",
            'AT+USECMNG=2,0,"ca42_0123.pem"',
            'AT+USECMNG=0,0,"%s",%d' % (NAME, len(CA)),
            "AT+USECPRF=0",
            "AT+USECPRF=0,0,2",
            "AT+USECPRF=0,1,3",
            'AT+USECPRF=0,3,"%s"' % NAME,
            'AT+USECPRF=0,4,"coap.nrfcloud.com"',
            'AT+USECPRF=0,10,"coap.nrfcloud.com"',
            'AT+UDNSRN=0,"coap.nrfcloud.com"',
            "AT+USOCR=17",
            "AT+USOSEC=0,1,0",
            'AT+USOCO=0,"192.0.2.10",5684',
        ]
        self.assertEqual((got, sent, payloads), (None, wanted, [CA]))

    def test_written_once(self):
        for line in (b'"CA","%s","Some CA","2030/01/01"', b'+USECMNG: 3,0,"%s"'):
            got, sent, payloads = self.open({"AT+USECMNG=3": said(line % NAME.encode())})
            self.assertEqual((got, payloads, sent[1]), (None, [], "AT+USECPRF=0"))

    def test_stored_by_somebody_else(self):
        for stored in ("ca42.pem", NAME):
            got, sent, _ = self.open({"AT+USECMNG=3": said(b'"CA","%s","",""' % stored.encode())}, ca=None)
            self.assertEqual(got, None)
            self.assertIn('AT+USECPRF=0,3,"%s"' % stored, sent)

    def test_no_certificate_no_connection(self):
        got, sent, _ = self.open(ca=None)
        self.assertEqual((got, sent), (ECONNABORTED, ["AT+USECMNG=3"]))

    def test_handshake_failed(self):
        got, sent, _ = self.open({'AT+USOCO=0,"192.0.2.10",5684': CME3})
        self.assertEqual((got, sent[-1]), (ECONNABORTED, "AT+USOCL=0"))

    def test_no_security_is_no_connection(self):
        """A firmware that takes no such profile, or no such certificate: an error, never an open socket."""
        store = 'AT+USECMNG=0,0,"%s",%d' % (NAME, len(CA))
        for refused in ("AT+USOSEC=0,1,0", "AT+USECPRF=0,0,2", 'AT+USECPRF=0,4,"coap.nrfcloud.com"', store):
            got, sent, _ = self.open({refused: ERROR})
            self.assertEqual(got, ECONNABORTED)
            self.assertTrue('AT+USOCO=0,"192.0.2.10",5684' not in sent)


R5 = [
    b"+UCGED: 2",
    b"6,4,262,01",
    b"1300,3,50,50,5a10,1a2b3c4,417,c0a80101,8001,02,49,20,15.00,1,0,9,48,-40,-5,64,255,255,0",
]
R422 = [b"+UCGED: 2", b"6,262,01", b'1300,3,50,50,5a10,417,-92,-10,175,-1,3,255,128,"C0A80101"']
SHARED = {
    "mcc": 262,
    "mnc": 1,
    "tac": 0x5A10,
    "eci": 0x01A2B3C4,
    "rat": "ltem",
    "earfcn": 1300,
    "pci": 417,
    "rsrp_dbm": -92,
    "rsrq_db": -10,
    "snr_db": 15,
    "ta": None,
    "neighbours": [],
}


class Cells(unittest.TestCase):
    def test_both_forms_say_the_same(self):
        for lines in (R5, R422):
            got, fake, _ = drive(lambda m, fake: m.cells(True), {"AT+UCGED?": said(*lines)})
            self.assertEqual(got, SHARED)
            self.assertEqual(fake.commands(), ["AT+CEREG?", "AT+UCGED=2", "AT+UCGED?"])

    def test_invalid_is_none(self):
        cell = b"1300,3,50,50,ffff,fffffff,417,ffffffff,ffff,ff,255,255,255.00,1"
        got = parse_ucged([R5[0], R5[1], cell], {"tac": 1, "eci": 2, "rat": None})
        self.assertEqual([got[k] for k in ("tac", "eci", "rsrp_dbm", "rsrq_db", "snr_db")], [1, 2, None, None, None])
        cell = b"1300,3,50,50,5a10,417,255,255,255,-1,3,255,128"
        got = parse_ucged([R422[0], R422[1], cell], {"tac": 1, "eci": 2, "rat": None})
        self.assertEqual([got[k] for k in ("eci", "rsrp_dbm", "rsrq_db", "snr_db")], [2, None, None, None])

    def test_no_cell(self):
        for lines in (
            R5[:1],
            [R5[0], b"2,4,262,01", R5[2]],  # GSM
            [R5[0], b"6,0,65535,255", R5[2]],
            [R5[0], b"6,4,262,01", b"1300,3"],
            [R5[0], b"6,262,01", R5[2][:8]],
            [b"", b"", b""],
        ):
            self.assertEqual(parse_ucged(lines, SEARCHING), None)
        self.assertEqual(parse_ucged(R422, SEARCHING), None)  # nobody knows its identity
        got = drive(lambda m, fake: errno_of(m.cells()), {"AT+UCGED?": said(R5[0])})[0]
        self.assertEqual(got, ETIMEDOUT)

    def test_halves(self):
        for text, wanted in ((b"-10.5", -10.5), (b"-10", -10), (b"-34.5", -34.5), (b"x", None), (b"-99", None)):
            line = R422[2].replace(b",-10,", b"," + text + b",")
            self.assertEqual(parse_ucged([R422[0], R422[1], line], SHARED)["rsrq_db"], wanted)


if __name__ == "__main__":
    unittest.main()
