"""The command lines of the README and of docs/: what a reader would type."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_IN_A_BLOCK: Final = r"^    ((?:\./run|docker compose) .*?)(?: *#.*| {2,}.*)?$"
_IN_A_TEXT: Final = r"`((?:\./run|docker compose|arq)(?: [^`]*))`"


def lines() -> set[str]:
    """Each command line once, without what the page says of it; and those that a line of a block says of itself."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found |= set(re.findall(_IN_A_BLOCK, text, re.MULTILINE)) | set(re.findall(_IN_A_TEXT, text.replace("\n", " ")))
        found |= set(re.findall(r"; (\./run [a-z]+ --[a-z]+) ", text))
    return found


def blocks(text: str) -> list[str]:
    """The Python examples of a page, those inside a list too."""
    found = re.findall(r"^( *)```python\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def compose_lines() -> list[str]:
    """Those of the block about the cluster in docs/production.md, in the order in which a reader would type them."""
    section = (
        (ROOT / "docs" / "production.md")
        .read_text(encoding="utf-8")
        .partition("## As a cluster")[2]
        .partition("\n## ")[0]
    )
    return re.findall(_IN_A_BLOCK, section, re.MULTILINE)
