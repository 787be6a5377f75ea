"""A serial line of an operating system (unix port: /dev/ttyUSB0, a pty) made fit for at.client: raw, reads never block.

MicroPython's readinto asks the kernel until the buffer is full; with VMIN = VTIME = 0 the kernel says `no more` instead
of waiting. Called by at.client for a stream that has fileno(). RAM: none.
"""

from micropython import const

_CC = const(6)  # where tcgetattr keeps the control characters
_VTIME = const(5)  # Linux
_VMIN = const(6)


def prepare(stream):
    """Set the line up; a stream that is no terminal (socket, pipe) is left alone."""
    try:
        import termios
    except ImportError:
        return
    try:
        fd = stream.fileno()
        termios.setraw(fd)
        attributes = termios.tcgetattr(fd)
        attributes[_CC][_VTIME] = attributes[_CC][_VMIN] = 0
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
    except OSError:
        pass
