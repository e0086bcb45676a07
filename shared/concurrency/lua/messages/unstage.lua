#!lua flags=allow-oom
-- Forgets what was staged for an acknowledgement that did not come. May be repeated.
-- KEYS bodies lanes totals
-- ARGV
--   session  the session that has staged it
--   folds    ... keys of folds
-- RETURNS how many folds the session has staged still
-- PARTS clock staged
forget_staged(session, folds)
return #select(2, staged_by(session))
