"""Other queues behind the four functions of benchmarks/ours.py, each run by the Python of its own environment."""
