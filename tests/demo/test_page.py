"""What docs/demo.md says of the demo is true."""

import re

from shared.demo.settings import WordCountSettings
from shared.environment import Environment
from tests.project.test_readme import DEMO_PAGE, TEXTS, check_defaults, described_settings, run


def test_the_table_of_settings_is_complete_and_right() -> None:
    own = set(WordCountSettings.model_fields) - set(Environment.model_fields)
    assert set(described_settings()) == set(WordCountSettings.model_fields)
    check_defaults(WordCountSettings, described_settings(), own)


def test_every_option_is_there() -> None:
    (rest,) = re.findall(r"`\./run demo --help` shows the rest:([^\n]*)", TEXTS[DEMO_PAGE])
    options = re.findall(r"--[\w-]+", rest)
    assert len(options) == 5
    helped = run("demo", "--help")
    for option in [*options, *re.findall(r"\./run demo (--[\w-]+)", TEXTS[DEMO_PAGE])]:
        assert option in helped, option
