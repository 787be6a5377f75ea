"""Device side of test_signatures.py: says for each vector of a JSON file (argument 2) whether lib/fota takes it.

Argument 1: the repository. Prints one JSON list of booleans.
"""

import json
import sys

sys.path.insert(0, sys.argv[1] + "/lib")

from hashlib import sha256

from fota.verify import pss_verify

with open(sys.argv[2]) as file:
    vectors = json.load(file)
print(json.dumps([
    pss_verify(bytes.fromhex(one["modulus"]), sha256(bytes.fromhex(one["message"])).digest(),
               bytes.fromhex(one["signature"])) for one in vectors
]))  # fmt: skip
