"""The queue: its rules, its model, what its calls cost."""
