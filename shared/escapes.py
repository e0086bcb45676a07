"""Escapes: foreign text made harmless for people's terminals and line-wise logs."""


def escaped(text: str) -> str:
    """The text in which characters that control a terminal, end a line or are invisible appear as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
