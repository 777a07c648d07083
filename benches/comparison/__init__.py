"""What `benches/compare.py` measures, with whom, and how it reports.

`problems` holds the inputs and the list of cases, `targets` how fast each shall be, `contenders`
and `frameworks` who is compared, `timing` the interleaved measurement, `sweep` logitkit's own time
by size, `report` the tables and the JSON file, `machine` what it all ran on.
"""
