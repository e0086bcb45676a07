"""Whether a service is well: `--check` asks it on its own machine, and its metrics port answers probes."""
