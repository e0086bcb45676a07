-- The line: in `putters` a place for each put that waits, in order of arrival, in `bodies` what waits there. A place is the key of
-- the put, with `@` and the number of the call behind it where it was put again; it counts while `bodies` has that key with the
-- same number. So a put leaves a long line by its body alone: its place is passed over when its turn comes.
-- WAITS finds in a body who waits (a session, or `+OWNER`), what the place has behind the key, and where the entry begins.
local KEY_BYTES, SHORT_LINE, PLUS, WAITS = 22, 1000, 43, '^([^ @]*)(@?%d*) ()'
