"""Cloud twin: a local nRF Cloud (CoAP over DTLS for devices, REST for operators) with records of everything."""
