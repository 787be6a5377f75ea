"""+CME ERROR in words (TS 27.007 9.2; modems.md 1.10), for AT+CMEE=2."""

TEXTS = {
    0: "phone failure", 3: "operation not allowed", 4: "operation not supported", 10: "SIM not inserted",
    11: "SIM PIN required", 12: "SIM PUK required", 13: "SIM failure", 14: "SIM busy", 15: "SIM wrong",
    16: "incorrect password", 20: "memory full", 21: "invalid index", 22: "not found", 23: "memory failure",
    24: "text string too long", 25: "invalid characters in text string", 30: "no network service",
    31: "network timeout", 50: "incorrect parameters", 51: "command implemented but currently disabled",
    52: "command aborted by user", 100: "unknown", 148: "unspecified GPRS error", 149: "PDP authentication failure",
}  # fmt: skip
