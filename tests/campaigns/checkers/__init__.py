"""The checkers. None imports anything of the product; each has a test that shows it a broken run."""
