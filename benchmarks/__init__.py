"""How fast thermoscan is, as ratios to a floor or to another program measured in the same run.

``python -m benchmarks`` from the top of the repository measures every section, prints one table
on stdout and progress on stderr, and writes ``docs/benchmarks.md``. A section's module has one
function, `measure`, which yields `benchmarks.report.Row` values; what it reads is made by
`benchmarks.data` and kept for the next run.
"""
