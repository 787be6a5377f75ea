"""What a SIM7080 answers in good health, and `drive` of it (see harness.family_script)."""

from harness.family_script import OK, Rig, info

BASIC = {
    "AT+CGMM": info("SIMCOM_SIM7080G"),
    "AT+IPR?": info("+IPR: 115200"),
    "AT+CNMP?": info("+CNMP: 38"),
    "AT+CMNB?": info("+CMNB: 1"),
    "AT+CLTS?": info("+CLTS: 1"),
    "AT+CAOPEN?": OK,
    "AT+CNACT?": info('+CNACT: 0,1,"10.2.3.4"', '+CNACT: 1,0,"0.0.0.0"', '+CNACT: 2,0,"0.0.0.0"'),
    "AT+CEREG?": info('+CEREG: 2,1,"5A10","01A2B3C4",7'),
    "AT+CCLK?": info('+CCLK: "26/01/02,05:04:05+08"'),
    "AT+CFUN?": info("+CFUN: 4"),
    'AT+CAOPEN=0,0,"UDP","coap.example",5683,0': info("+CAOPEN: 0,0"),
}
OPEN = 'AT+CAOPEN=0,0,"UDP","coap.example",5683,0'
DOWN = info('+CNACT: 0,0,"0.0.0.0"', '+CNACT: 1,0,"0.0.0.0"')
drive = Rig("sim7080", BASIC, "DTLS GNSS GNSS_ALONE NEIGHBOURS PSM TIMEHINT XTRA").drive
