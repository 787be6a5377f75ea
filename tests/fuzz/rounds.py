"""The loop of a fuzz campaign on the device: batches of inputs, what failed as hex, and the heap after each batch.

The job comes as one JSON line on standard input (MicroPython dies of an argument above 255 bytes): seed, first,
batches, step and size say which batches to make; hex is one input to try alone. What is printed is for campaign.py:

    batch NUMBER INPUTS ACCEPTED HEAP    after each one; HEAP is what is in use after a collection
    at BATCH INDEX HEX                   with "verbose", before each input: the last of them is the one that hung
    FAIL BATCH INDEX HEX TEXT            and nothing more
"""

import binascii
import gc
import json
import sys


class Wrong(Exception):
    """The code under test did something else than the oracle says."""


def read_job():
    """The job, as a dict."""
    return json.loads(sys.stdin.readline())


def to_hex(data, n):
    """data[:n] as text; "-" for nothing at all."""
    return binascii.hexlify(bytes(memoryview(data)[:n])).decode() or "-"


def fail(batch, index, data, n, error):
    """Report an input that must not have done this, and end with exit status 1."""
    gc.collect()
    text = "%s %s" % (type(error).__name__, error)
    print("FAIL", batch, index, to_hex(data, n), text.replace("\n", " "))
    sys.print_exception(error, sys.stderr)
    sys.exit(1)


def run(job, mutator, check):
    """check(buf, n) -> accepted? for each input of the job's batches. Whatever it raises is a failure."""
    if "hex" in job:
        data = binascii.unhexlify(job["hex"])
        n = mutator.load(data)
        _guarded(check, mutator, n, -1, 0)
        print("batch", -1, 1, 1, gc.mem_alloc())
        return
    verbose = job.get("verbose")
    for batch in range(job["first"], job["batches"], job["step"]):
        mutator.rng.seed(job["seed"], batch)
        accepted = 0
        for index in range(job["size"]):
            n = _made(mutator, batch, index)
            if verbose:
                print("at", batch, index, to_hex(mutator.buf, n))
            accepted += _guarded(check, mutator, n, batch, index)
        mutator.rest()
        gc.collect()
        print("batch", batch, job["size"], accepted, gc.mem_alloc())


def _made(mutator, batch, index):
    try:
        return mutator.next()
    except Exception as error:  # of a Maker, which calls the code under test
        fail(batch, index, mutator.buf, len(mutator.buf), error)


def _guarded(check, mutator, n, batch, index):
    try:
        return bool(check(mutator.buf, n))
    except Exception as error:  # whatever it is: that is what this looks for
        fail(batch, index, mutator.buf, n, error)
