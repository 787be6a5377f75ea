"""modem.bg95 over a scripted modem: DTLS ended in it, and its certificates (modems.md 2C.5)."""

import unittest
from errno import ECONNABORTED, EIO, ENODEV

from harness.bg95_script import drive
from harness.family_script import ERROR, OK, datagrams, failure_of, info, news

CA = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


class Dtls(unittest.TestCase):
    def drive(self, body, answers=None, files=None, spoil=0):
        """A modem with `files` {name: size}; `spoil`: how many uploads go wrong."""
        files = {} if files is None else files
        spoiled = [spoil]

        def upload(fake):
            command = [x for x in fake.commands() if x.startswith("AT+QFUPL=")][-1]
            data = fake.payloads[-1]
            files[command.split('"')[1]] = len(data)
            words = data + b"\0" * (len(data) & 1)
            total = 0
            for i in range(0, len(words), 2):
                total ^= words[i] << 8 | words[i + 1]
            if spoiled[0]:
                spoiled[0] -= 1
                total ^= 1
            return info("+QFUPL: %d,%x" % (len(data), total))

        async def with_files(m, fake):
            fake.answers["payload"] = lambda key: upload(fake)
            fake.answers['AT+QFLST="*"'] = lambda key: info(*['+QFLST: "UFS:%s",%d' % x for x in files.items()])
            return await body(m, fake)

        merged = {'AT+QSSLOPEN=1,0,4,"coap.example",5684,0': OK + news("+QSSLOPEN: 4,0")}
        merged.update(answers or {})
        return drive(with_files, merged), files

    @staticmethod
    async def open(m, fake):
        endpoint = await m.dtls_open("coap.example", 5684, 42, "coap.example", timeout_ms=60000, ca=CA)
        fake.answers.pop("payload")
        await endpoint.send(b"hello")
        datagrams(fake, "AT+QSSLRECV=4,1500", b"\r\n+QSSLRECV: %d\r\n", [b"> \r\n"], info("+QSSLRECV: 0"))
        fake.say(news('+QSSLURC: "recv",4'))
        buf = bytearray(9)
        n = await endpoint.recv_into(buf, 500)
        await endpoint.close()
        return bytes(buf[:n])

    def test_the_whole_way(self):
        (got, fake, _), files = self.drive(self.open)
        self.assertEqual((got, fake.payloads), (b"> \r\n", [CA, b"hello"]))
        name = list(files)[0]
        self.assertTrue(name.startswith("ca42_") and name.endswith(".pem"))
        sent = fake.commands()
        for option in (
            '"sslversion",0,3',
            '"dtls",0,1',
            '"dtlsversion",0,1',
            '"seclevel",0,1',
            '"cacert",0,"UFS:%s"' % name,
            '"sni",0,1',
            '"negotiatetime",0,60',
            '"ignorelocaltime",0,0',
            '"checkhost",0,1',
        ):
            self.assertIn("AT+QSSLCFG=" + option, sent)
        self.assertEqual(sent[-1], "AT+QSSLCLOSE=4")

    def test_certificate_is_there_already(self):
        _, files = self.drive(self.open)
        (_, fake, _), _ = self.drive(self.open, files=files)
        self.assertEqual(fake.payloads, [b"hello"])

        async def without(m, fake):
            await m.dtls_open("coap.example", 5684, 42, "coap.example")

        (_, fake, _), _ = self.drive(without, files=files)
        self.assertIn('AT+QSSLCFG="cacert",0,"UFS:%s"' % list(files)[0], fake.commands())

    def test_another_certificate_of_the_same_length(self):
        old = "ca42_00000000.pem"
        (_, fake, _), files = self.drive(self.open, files={old: len(CA), "ca4_1.pem": 1})
        self.assertEqual(fake.payloads[0], CA)
        self.assertIn('AT+QFDEL="%s"' % old, fake.commands())
        self.assertTrue('AT+QFDEL="ca4_1.pem"' not in fake.commands())

    def test_upload_that_went_wrong(self):
        (got, fake, _), _ = self.drive(self.open, spoil=1)
        self.assertEqual((got, fake.payloads), (b"> \r\n", [CA, CA, b"hello"]))

        async def body(m, fake):
            return await failure_of(self.open(m, fake)), m.orphans

        (got, fake, _), _ = self.drive(body, spoil=2)
        self.assertEqual(got, (EIO, []))
        self.assertTrue(not [x for x in fake.commands() if x.startswith("AT+QSSLOPEN")])

    def test_handshake_fails(self):
        async def body(m, fake):
            return await failure_of(m.dtls_open("coap.example", 5684, 42, "coap.example")), m.orphans

        for code in (566, 579):
            self.refused(body, code)

    def refused(self, body, code):
        refused = {'AT+QSSLOPEN=1,0,4,"coap.example",5684,0': OK + news("+QSSLOPEN: 4,%d" % code)}
        (got, fake, _), _ = self.drive(body, refused)
        self.assertEqual(got, (ECONNABORTED, []))
        self.assertIn('AT+QSSLCFG="cacert",0,"UFS:ca42.pem"', fake.commands())  # without `ca`: put there by hand

    def test_nobody_knows_the_time(self):
        import clock

        before = clock._utc
        clock._utc = None
        try:
            unset = info('+CCLK: "80/01/06,00:00:19+00"')
            (_, fake, _), _ = self.drive(self.open, {"AT+CCLK?": unset})
            self.assertIn('AT+QSSLCFG="ignorelocaltime",0,1', fake.commands())
            clock.set_utc(1767323045000)
            (_, fake, _), _ = self.drive(self.open, {"AT+CCLK?": unset})
            sent = fake.commands()
            self.assertIn('AT+QSSLCFG="ignorelocaltime",0,0', sent)
            self.assertEqual([x[:28] for x in sent if x.startswith("AT+CCLK=")], ['AT+CCLK="26/01/02,03:04:05+0'])
        finally:
            clock._utc = before

    def test_old_firmware_has_none(self):
        async def body(m, fake):
            await m.start()
            return await failure_of(m.dtls_open("h", 1, 1, "h"))

        got, _, _ = drive(body, {"AT+QSSLCFG=?": ERROR}, started=False)
        self.assertEqual(got, ENODEV)


if __name__ == "__main__":
    unittest.main()
