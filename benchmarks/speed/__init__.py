"""Speed and memory, each beside a peer or a bound that was measured in the same run: run by `benchmarks/bench.py`."""
