"""What `benches/compare.py` measures, with whom, and how it reports.

`problems` holds the inputs and the list of cases, `ours` and `peers` the contenders, `timing` the
interleaved measurement, `report` the tables and the JSON file, `machine` what it all ran on.
"""
