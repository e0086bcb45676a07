"""YOURS: the application's own settings. A field is read from the variable PIPELINE_<FIELD>."""

from shared.demo.settings import WordCountSettings


class Settings(WordCountSettings):
    """What the services can be set to. Without the demo: `class Settings(Environment)`, from shared.environment."""
