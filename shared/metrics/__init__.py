"""Prometheus: what a service counts and measures, at /metrics. Imported only where PIPELINE_METRICS_PORT is set."""
