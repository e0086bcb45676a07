"""The demo's own: word counts and stop words. Delete it with the demo."""
