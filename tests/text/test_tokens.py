import random

import pytest
from torchtext.data.utils import get_tokenizer

from stages.text.words.tokens import basic_english, characters, tokenizer, whitespace

TRICKY = [
    "",
    " ",
    "\n",
    "This movie is GREAT",
    " leading and trailing ",
    "two  spaces   three",
    "a line\nbreak inside a word\r\nand\n\na pair",
    "tab\there, NBSP\u00a0there, line\u2028separator",
    "İstanbul DİYARBAKIR",
    "STRASSE Straße ẞ",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ",  # a final sigma depends on its neighbours
    "ΔΣ\nΔ ΔΣ'",
    "ǅ Ǆ ﬁ Å",  # the last is the Ångström sign
    "I've seen \"it\" (twice); it's a <br /><br />MUST-SEE! Or not?",
    "<unk> <pad> <UNK>",
    "null NaN None 1e5 #",
    "日本語 العربية 🌭 e\u0301",
    "zero\0byte",
]


def textbook(text: str) -> list[str]:
    return [tok.lower() for tok in text.replace("\n", "").lower().split(" ")]


@pytest.mark.parametrize("text", TRICKY)
def test_whitespace_gives_the_textbooks_words(text):
    assert whitespace([text]).to_pylist() == [textbook(text)]


def test_whitespace_lowers_every_character_as_the_textbook_does():
    blocks = [range(start, start + 0x800) for start in range(0, 0x110000, 0x800) if start != 0xD800]  # surrogates
    texts = ["".join(map(chr, block)) for block in blocks]
    assert whitespace(texts).to_pylist() == [textbook(text) for text in texts]


def test_whitespace_keeps_texts_apart_and_in_order():
    rng = random.Random(0)
    texts = ["".join(rng.choices("aBİ \n\t.", k=rng.randrange(20))) for _ in range(500)]
    assert whitespace(texts).to_pylist() == [textbook(text) for text in texts]


def test_basic_english_gives_torchtexts_words():
    tokenize = get_tokenizer("basic_english")
    assert basic_english(TRICKY).to_pylist() == [tokenize(text) for text in TRICKY]


def test_basic_english_finds_no_word_in_an_empty_text():
    assert basic_english(["", "one", " \n"]).to_pylist() == [[], ["one"], []]


def test_characters_are_words_where_no_space_parts_them():
    texts = ["很好看。", " Ab\tc \u3000d\n", "ดีมาก", "", " \n"]
    assert characters(texts).to_pylist() == [["很", "好", "看", "。"], ["a", "b", "c", "d"], list("ดีมาก"), [], []]


@pytest.mark.parametrize("tokenize", [whitespace, basic_english, characters])
def test_the_words_of_no_text_are_no_words(tokenize):
    words = tokenize([])
    assert len(words) == 0
    assert str(words.type.value_type) == "string"


@pytest.mark.parametrize(
    ("name", "function"), [("whitespace", whitespace), ("basic_english", basic_english), ("characters", characters)]
)
def test_tokenizers_have_the_names_of_params_yaml(name, function):
    assert tokenizer(name) is function
