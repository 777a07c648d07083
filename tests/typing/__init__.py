"""Calls that a type checker must accept, with the types that come back, and calls it must reject.

`tests/test_typing.py` gives these files to mypy. They are no tests that pytest collects.
"""
