"""The faults: each an endless course of one kind of trouble, with pauses; cancelled, it leaves everything healed."""
