"""The tests of the demo. Delete them with shared/demo and cli/demo."""
