"""Datagram endpoints: udp.UDP over the board's own sockets, dtls.DTLS over any other endpoint."""
