"""What calls cost where thousands hold a lease or wait for it, and that what is done in parts is done in order."""
