"""What a BG95 answers in good health, and `drive` of it (see harness.family_script)."""

from harness.family_script import OK, Rig, info, news

BASIC = {
    "AT+CGMM": info("BG95-M3"),
    'AT+QCFG="nwscanmode"': info('+QCFG: "nwscanmode",3'),
    'AT+QCFG="iotopmode"': info('+QCFG: "iotopmode",0'),
    "AT+QSSLCFG=?": info('+QSSLCFG: "sslversion",(0-5),(0-4)', '+QSSLCFG: "dtls",(0-5),(0,1)'),
    "AT+QGPSXTRA?": info("+QGPSXTRA: 1"),
    "AT+QIACT?": info('+QIACT: 1,1,1,"10.2.3.4"'),
    "AT+CEREG?": info('+CEREG: 2,1,"5A10","1A2B3C4",8'),
    "AT+CCLK?": info('+CCLK: "26/01/02,05:04:05+08"'),
    'AT+QIOPEN=1,0,"UDP","coap.example",5683,0,0': OK + news("+QIOPEN: 0,0"),
}
OPEN = 'AT+QIOPEN=1,0,"UDP","coap.example",5683,0,0'
drive = Rig("bg95", BASIC, "DTLS GNSS NEIGHBOURS PSM TIMEHINT XTRA").drive
