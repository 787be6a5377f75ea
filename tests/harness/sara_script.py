"""modem.sara_r5 over a scripted modem, for the unit tests: an R510M8S that is registered and whose bearer is up."""

from harness.family_script import OK, said
from harness.family_script import drive as drive_family

BASIC = {
    "AT+CGMM": said(b"SARA-R510M8S"),
    "AT+CEREG?": said(b'+CEREG: 5,1,"5A10","01A2B3C4",7'),
    "AT+COPS?": said(b'+COPS: 0,2,"26201",7'),
    "AT+UGPS?": said(b"+UGPS: 0"),
    "AT+UPSND=0,8": said(b"+UPSND: 0,8,1"),
    "AT+USOCR=17": said(b"+USOCR: 0"),
    "AT+USOSEC=0,1,0": OK,
    "AT+CCLK?": said(b'+CCLK: "26/01/02,05:04:05+08"'),
    'AT+UDNSRN=0,"coap.nrfcloud.com"': said(b'+UDNSRN: "192.0.2.10"'),
}


def drive(body, answers=None, started=True, timeout_s=8, **options):
    """As harness.family_script.drive."""
    return drive_family("sara_r5", BASIC, body, answers, started, timeout_s, **options)
