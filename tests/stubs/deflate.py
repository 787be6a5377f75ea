"""MicroPython's `deflate` for unit tests under CPython: reading a raw stream, as much of it as lib/fota makes use of.

As the real one it reads its source byte by byte, so that the position of the source tells where the stream ended;
EOFError when the source ends too early, OSError(EINVAL) for what is no stream or has a larger window.
"""

import zlib

AUTO, RAW, ZLIB, GZIP = range(4)


class DeflateIO:
    """Reads from `stream` what was compressed with a window of 2**wbits bytes."""

    def __init__(self, stream, format=AUTO, wbits=0, close=False):
        if format != RAW or not 8 < wbits < 16:
            raise NotImplementedError("only raw streams with a window")
        self._stream = stream
        self._inflate = zlib.decompressobj(-wbits)
        self._ready = b""

    def readinto(self, buf):
        """Fill `buf`; -> bytes, fewer only at the end of the stream."""
        while len(self._ready) < len(buf) and not self._inflate.eof:
            byte = self._stream.read(1)
            if not byte:
                raise EOFError
            try:
                self._ready += self._inflate.decompress(byte)
            except zlib.error:
                raise OSError(22) from None
        n = min(len(buf), len(self._ready))
        buf[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n
