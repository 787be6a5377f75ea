"""modem.sim7080 over a scripted modem: DTLS ended in it, and its certificates (modems.md 2B.5)."""

import unittest
from errno import ECONNABORTED, EIO

import clock
from harness.family_script import ERROR, OK, datagrams, failure_of, info, news
from harness.sim7080_script import drive
from modem import pem

CA = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" * 300  # more than goes in one command
NAME = pem.name(42, CA)
OPEN = 'AT+CAOPEN=4,0,"UDP","coap.example",5684,0'


class Files:
    """The modem's customer directory; `spoil`: how many bytes get lost of each upload."""

    def __init__(self, fake, spoil=0):
        self.sizes = {}
        self.fake = fake
        self.spoil = spoil
        fake.answers["payload"] = self.on_payload

    def on_payload(self, _):
        command = [x for x in self.fake.commands() if x.startswith("AT+CFSWFILE=")][-1]
        _, name, mode, size, _ = command.split("=")[1].replace('"', "").split(",")
        held = self.sizes.get(name, 0) if mode == "1" else 0
        self.sizes[name] = held + int(size) - self.spoil
        self.fake.answers['AT+CFSGFIS=3,"%s"' % NAME] = info("+CFSGFIS: %d" % self.sizes[name])
        return OK


class Dtls(unittest.TestCase):
    def drive(self, answers=None, spoil=0, ca=CA, twice=False):
        async def body(m, fake):
            files = Files(fake, spoil)
            fake.answers.update(answers or {})
            got = await failure_of(self.open(m, fake, ca))
            if twice:
                fake.sent.clear()
                fake.payloads.clear()
                got = await failure_of(self.open(m, fake, ca))
            return got, files.sizes, m.orphans

        merged = {OPEN: info("+CAOPEN: 4,0")}
        merged['AT+CFSGFIS=3,"%s"' % NAME] = ERROR
        return drive(body, merged)

    async def open(self, m, fake, ca):
        endpoint = await m.dtls_open("coap.example", 5684, 42, "coap.nrfcloud.com", timeout_ms=60000, ca=ca)
        fake.answers.pop("payload", None)
        await endpoint.send(b"hello")
        datagrams(fake, "AT+CARECV=4,1460", b"\r\n+CARECV: %d,", [b"> \r\n"], info("+CARECV: 0"))
        fake.say(news("+CADATAIND: 4"))
        buf = bytearray(9)
        self.assertEqual(bytes(buf[: await endpoint.recv_into(buf, 500)]), b"> \r\n")
        await endpoint.close()

    def test_the_whole_way(self):
        (got, sizes, orphans), fake, _ = self.drive()
        self.assertEqual((got, sizes, orphans), (None, {NAME: len(CA)}, []))
        self.assertEqual(b"".join(fake.payloads), CA + b"hello")
        self.assertTrue(max([len(x) for x in fake.payloads]) < 10240)
        sent = fake.commands()
        upload = [x for x in sent if x.startswith("AT+CFS")]
        self.assertEqual((upload[0], upload[-1]), ("AT+CFSINIT", "AT+CFSTERM"))
        expected = [
            'AT+CSSLCFG="CONVERT",2,"%s"' % NAME,
            'AT+CSSLCFG="SSLVERSION",0,5',
            'AT+CSSLCFG="PROTOCOL",0,2',
            'AT+CSSLCFG="CIPHERSUITE",0,0,0xC02B',
            'AT+CSSLCFG="CIPHERSUITE",0,1,0xC0AE',
            "AT+CCLK?",
            'AT+CSSLCFG="IGNORERTCTIME",0,0',
            'AT+CSSLCFG="SNI",0,"coap.nrfcloud.com"',
            "AT+CACID=4",
            'AT+CASSLCFG=4,"SSL",1',
            'AT+CASSLCFG=4,"CRINDEX",0',
            'AT+CASSLCFG=4,"CACERT","%s"' % NAME,
            OPEN,
        ]
        first = sent.index(expected[0])
        self.assertEqual(sent[first : first + len(expected)], expected)
        self.assertEqual(sent[-1], "AT+CACLOSE=4")

    def test_certificate_is_there_already(self):
        _, fake, _ = self.drive(twice=True)
        self.assertEqual(fake.payloads, [b"hello"])

    def test_put_there_by_hand(self):
        _, fake, _ = self.drive(ca=None)
        self.assertIn('AT+CASSLCFG=4,"CACERT","ca42.pem"', fake.commands())
        self.assertTrue("AT+CFSINIT" not in fake.commands())

    def test_no_certificate(self):
        (got, _, orphans), fake, _ = self.drive({'AT+CSSLCFG="CONVERT",2,"ca42.pem"': ERROR}, ca=None)
        self.assertEqual((got, orphans, OPEN in fake.commands()), (ECONNABORTED, [], False))

    def test_upload_that_went_wrong(self):
        (got, _, orphans), fake, _ = self.drive(spoil=1)
        self.assertEqual((got, orphans), (EIO, []))
        sent = fake.commands()
        self.assertTrue(OPEN not in sent)
        self.assertEqual(sent[-2:], ["AT+CFSTERM", "AT+CACLOSE=4"])

    def test_file_system_was_left_open(self):
        (got, _, _), fake, _ = self.drive({"AT+CFSINIT": [ERROR, OK]})
        sent = fake.commands()
        self.assertEqual((got, sent[:3]), (None, ["AT+CFSINIT", "AT+CFSTERM", "AT+CFSINIT"]))

    def test_certificate_is_refused(self):
        (got, _, orphans), _, _ = self.drive({OPEN: news("+CAOPEN: 4,24") + ERROR})
        self.assertEqual((got, orphans), (ECONNABORTED, []))

    def test_the_clock_comes_first(self):
        before = clock._utc
        unset = {"AT+CCLK?": info('+CCLK: "80/01/06,00:00:19+00"')}
        try:
            clock._utc = None
            sent = self.drive(unset)[1].commands()
            self.assertIn('AT+CSSLCFG="IGNORERTCTIME",0,1', sent)  # nobody knows the time
            clock.set_utc(1767323045000)
            sent = self.drive(unset)[1].commands()
            self.assertIn('AT+CSSLCFG="IGNORERTCTIME",0,0', sent)
            self.assertEqual([x[:28] for x in sent if x.startswith("AT+CCLK=")], ['AT+CCLK="26/01/02,03:04:05+0'])
        finally:
            clock._utc = before


if __name__ == "__main__":
    unittest.main()
