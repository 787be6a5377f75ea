"""The keys that this node takes updates from, renewed by an update: `<slot>/update.pub` of a confirmed image.

Keys are rotated by releases (`godwit keys rotate`): one signed with the old key brings the list [new, old], a later one
signed with the new key the list [new]. The list takes effect with the confirmation, so that an image that fails its
trial takes its keys with it. Called by slots.py at the confirmation and by firmware/parts.py before each look for an
update, which makes good what a power cut between the two has left undone. RAM: up to 2.3 KB while it runs.
"""

from micropython import const

import store

_KEY_SIZE = const(384)  # RSA-3072
_KEYS_MAX = const(3)
_NAME = "/update.pub"


def adopt(root, slot, old=None):
    """Make the list of keys in the folder `slot` the node's; -> True when it was another one until now.

    A slot without a list, or with one that is not 1 to 3 moduli, changes nothing: a node is never left without a key.
    `old()` is asked last: True when the image is not the newest that was confirmed here, but what is left to run, whose
    keys may have been given up since. Raises OSError for the flash: the old list then stays.
    """
    limit = _KEYS_MAX * _KEY_SIZE
    try:
        keys = store.read_bytes(slot + _NAME, None, limit)
    except store.StoreError:
        return False  # too long
    if keys is None or not _is_list(keys):
        return False
    path = root + "/data" + _NAME
    try:
        if store.read_bytes(path, None, limit) == keys:
            return False
    except store.StoreError:
        pass
    if old and old():
        return False
    store.write_bytes(path, keys)
    return True


def _is_list(keys):
    """True for 1 to 3 odd numbers of 3072 bits."""
    n = len(keys)
    if not n or n % _KEY_SIZE:
        return False
    for i in range(0, n, _KEY_SIZE):
        if not keys[i] & 0x80 or not keys[i + _KEY_SIZE - 1] & 1:
            return False
    return True
