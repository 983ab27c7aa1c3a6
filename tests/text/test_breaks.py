"""A text is prepared in one way, wherever it comes from."""

import random
import re
from pathlib import Path

import pytest

from stages.apps.onnx_reviews import tokenizer_rules
from stages.apps.review_lines import Review
from stages.apps.review_models import ReviewModels
from stages.inference.device import prepare
from stages.sources.tables import Row
from stages.text.reading.breaks import REPLACEMENTS, one_line
from stages.text.reading.table import review_table
from stages.text.words.tokens import tokenizer

LETTERS = ["a", "B", " ", ".", "\t", "\u00a0", "好", *map(chr, [*range(10, 14), *range(28, 32), 0x85, 0x2028, 0x2029])]
RANDOM = random.Random(0)
ODD = ["", "\n", "\r\n", "boring\n\nbad\r\n\r\ndull", "a\u2028b\x85c\u2029", " \n a\n "]
ODD += ["".join(RANDOM.choices(LETTERS, k=RANDOM.randrange(12))) for _ in range(500)]


def test_a_line_break_of_any_kind_is_a_blank() -> None:
    breaks = {chr(code) for code in range(0x110000) if len(f"a{chr(code)}b".splitlines()) == 2}
    for end in [*breaks, "\r\n", "\n\n"]:
        assert one_line(f"{end}boring{end}bad{end}") == "boring bad"
    assert one_line("  a\tb \u00a0") == "  a\tb \u00a0"


@pytest.mark.parametrize("name", ["whitespace", "basic_english", "characters"])
def test_the_rule_in_onnx_files_is_the_same(name: str) -> None:
    assert tokenizer_rules(name)["replace_first"] == [list(pair) for pair in REPLACEMENTS]
    for text in ODD:
        found = text
        for pattern, replacement in REPLACEMENTS:
            found = re.sub(pattern, replacement, found)
        assert found == one_line(text)


@pytest.mark.parametrize("name", ["whitespace", "basic_english", "characters"])
def test_training_and_predict_read_the_same_words(trained: Path, name: str) -> None:
    models = ReviewModels(trained / "artifacts", ["textcnn"], prepare("cpu", "fp32", 1))
    _, config = models.models["textcnn"]
    config = config.__class__(**{**vars(config), "tokenizer": name, "max_len": 99})
    texts = review_table("train", [Row(i, text, "a", None) for i, text in enumerate(ODD)])["text"].to_pylist()
    expected = [words or ["<unk>"] for words in tokenizer(name)(texts).to_pylist()]
    assert models.words(ODD, config).to_pylist() == expected


def test_predict_reads_lines_as_words_apart(trained: Path) -> None:
    models = ReviewModels(trained / "artifacts", ["birnn", "textcnn"], prepare("cpu", "fp32", 1))
    plain, *broken = models.predict([Review(f"bad{end}dull{end}great") for end in (" ", "\n\n", "\r\n", "\u2028")])
    assert broken == [plain] * 3
