"""Lock, Semaphore, ReadersWritersLease, Event, Condition."""
