"""The tests of the Python module: the reference, the shared helpers and the tests themselves."""
