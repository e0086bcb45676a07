"""No asyncio in sight: a plain script, a test, and a line for a notebook."""
