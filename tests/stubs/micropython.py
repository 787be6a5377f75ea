"""The part of MicroPython's `micropython` module that device code uses, for unit tests under CPython only."""

_heap_locks = 0


def const(value):
    return value


def opt_level(level=None):
    return 0


def heap_lock():
    """Counted, not enforced: only the runs under MicroPython prove that a section does not allocate."""
    global _heap_locks
    _heap_locks += 1
    return _heap_locks


def heap_unlock():
    global _heap_locks
    _heap_locks -= 1
    return _heap_locks


def heap_locked():
    return _heap_locks


def alloc_emergency_exception_buf(size):
    return None


def mem_info(verbose=None):
    return None


def schedule(func, arg):
    func(arg)


def kbd_intr(char):
    return None


def native(func):
    return func


def viper(func):
    return func
