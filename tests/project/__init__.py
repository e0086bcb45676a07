"""The project as a whole: its rooms, its pages, its commands, its cluster."""
