"""The bad radio link of host-side tests: tools/godwit/impair.py, under the name that tests know. CPython only."""

from godwit.impair import Impairment

__all__ = ["Impairment"]
