"""What ``benchmarks/peers.py`` compares: an adapter for each system, the data, and how they are measured."""
