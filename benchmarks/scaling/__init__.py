"""What a batch costs beyond its bytes, measured here, and a scan of a whole hub computed from it.

``python -m benchmarks.scaling`` (``make bench-scaling``) writes ``docs/scaling.md``; with
``--small`` it prints the page at tiny sizes, which shows that everything runs and nothing else.
"""
