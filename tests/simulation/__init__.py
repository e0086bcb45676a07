"""A simulated world: the real client code and the real Lua on a real server, in virtual time, from one seed."""
