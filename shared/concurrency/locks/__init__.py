"""Lock, Semaphore, ReadersWritersLease, Event, Condition, Barrier, leader."""
