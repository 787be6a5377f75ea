"""The bench: Godwit's CoAP client and codecs beside others, measured in one run. `make bench`, `godwit bench`."""
