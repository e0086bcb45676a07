"""The lock of this project beside other distributed locks."""
