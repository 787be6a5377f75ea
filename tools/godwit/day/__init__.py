"""`godwit run`: a whole node lives one compressed day against the cloud twin and the modem simulator."""
