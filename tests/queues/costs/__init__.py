"""What calls cost where a queue has grown, and that what is done in parts is done in order."""
