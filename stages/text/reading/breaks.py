"""Join the lines of a text, in the same way for training, predict, the demo and ONNX files."""

_BREAKS = r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+"
# What one_line does, as pairs of a regular expression and its replacement, for ONNX files
REPLACEMENTS = ((rf"^{_BREAKS}|{_BREAKS}$", ""), (_BREAKS, " "))


def one_line(text: str) -> str:
    """Return the text with a blank in place of each run of line breaks of any kind, and no break at its ends.

    The textbook's tokenizer would join the words on both sides of a break. The textbook's reviews keep their breaks, so
    that they are read as in the textbook: see stages.text.reading.imdb.
    """
    return " ".join(filter(None, text.splitlines()))
