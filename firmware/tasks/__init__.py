"""What the node does, one file a task. A task has `async run()` and never imports a backend, a modem or a board.

`LINK_ERRORS` is what a request raises when the way to the cloud is gone: the task hands it to `state.fail`, waits for
the link and carries on. `cloud.base.CloudError` and `coap.Refused` mean that the cloud answered, so the link is well.
"""

import asyncio
import gc

import coap
import cold
import log

# Reset counts as dead: a peer that has forgotten us answers every message with it. So does an answer that nobody can
# use: a new session is the only thing left to try.
LINK_ERRORS = (coap.Timeout, coap.Reset, coap.BadResponse, OSError)


def explain(error):
    """-> a short text for a log line: what class of thing went wrong, and what it said; of an OSError only the text, or
    the name of its number where the port knows it."""
    text = str(error)
    if isinstance(error, OSError):
        said = str(error.args[1]) if len(error.args) > 1 else text.partition("] ")[2]
        if said:
            return said
    name = type(error).__name__
    return "%s: %s" % (name, text) if text else name


async def twice(state, name, call, *terms):
    """Await `call(*terms)`; once more at once when it found no room: what it had loaded is gone then, and the heap in
    larger pieces. -> its result. Raises MemoryError when that was not it. Counted as a restart of "memory"."""
    try:
        return await call(*terms)
    except MemoryError as problem:
        log.warn(name, "%s; once more with a tidy heap", problem)
    state.restarts["memory"] = state.restarts.get("memory", 0) + 1
    await asyncio.sleep(0)  # the collector takes what stands on the stack for references
    cold.forget()
    gc.collect()
    return await call(*terms)
