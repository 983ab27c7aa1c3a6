"""One text, one line: the same for a training's reviews, predict, the demo and whoever uses an ONNX file."""

_BREAKS = r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+"
# one_line as regular expressions and what replaces them, for ONNX files
REPLACEMENTS = ((rf"^{_BREAKS}|{_BREAKS}$", ""), (_BREAKS, " "))


def one_line(text: str) -> str:
    """Return the text with a blank in place of line breaks, of whatever kind and number, and none at its ends.

    The textbook's tokenizer would join the words on both sides of a break. Its own reviews keep their breaks, as it
    reads them: see stages.text.reading.imdb.
    """
    return " ".join(filter(None, text.splitlines()))
