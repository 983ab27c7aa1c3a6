import numpy as np
import pyarrow as pa
import pytest

from stages.text.vectors import cooccurrence
from stages.text.vectors.cooccurrence import NORM, WINDOW, cooccurrence_vectors

STRINGS = pa.list_(pa.string())


def texts(words: list[list[str]]) -> pa.ListArray:
    return pa.array(words, STRINGS)


def made_up(count: int, seed: int = 0) -> list[list[str]]:
    """Texts of two topics, and of words that any may have."""
    random = np.random.default_rng(seed)
    topics = [[f"{name}{i}" for i in range(20)] for name in "ab"]
    common = [f"c{i}" for i in range(20)]
    return [
        [str(random.choice(topics[i % 2] if random.random() < 0.7 else common)) for _ in range(random.integers(0, 30))]
        for i in range(count)
    ]


def near(words: list[str], vectors: np.ndarray, word: str) -> list[str]:
    likeness = vectors @ vectors[words.index(word)]
    return [words[i] for i in likeness.argsort()[::-1][1:6]]


def test_words_of_like_company_have_like_vectors() -> None:
    words, vectors = cooccurrence_vectors(texts(made_up(2000)), 10)
    assert vectors.shape == (60, 10)
    assert vectors.dtype == np.float32
    assert [word[0] for word in near(words, vectors, "a3")] == ["a"] * 5
    assert [word[0] for word in near(words, vectors, "b17")] == ["b"] * 5
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(NORM, rel=1e-5)


def test_the_same_texts_give_the_same_vectors_the_most_frequent_word_first() -> None:
    some = texts(made_up(50))
    words, vectors = cooccurrence_vectors(some, 10)
    again, same = cooccurrence_vectors(some, 10)
    assert (words, vectors.tobytes()) == (again, same.tobytes())
    running = some.flatten().to_pylist()
    assert words == sorted(set(running), key=lambda word: (-running.count(word), word))


def test_meetings_are_counted_within_a_text_and_the_window_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    some = made_up(40)
    expected: dict[tuple[str, str], int] = {}
    for text in some:
        for i, one in enumerate(text):
            for j, other in enumerate(text):
                if i != j and abs(i - j) <= WINDOW:
                    expected[one, other] = expected.get((one, other), 0) + 1
    monkeypatch.setattr(cooccurrence, "BLOCK", 7)
    seen = []
    inner = cooccurrence._information
    monkeypatch.setattr(cooccurrence, "_information", lambda met: seen.append(met) or inner(met))
    words, _ = cooccurrence_vectors(texts(some), 10)
    (met,) = seen
    found = {(words[i], words[j]): int(n) for i, j, n in zip(met.row, met.col, met.data, strict=True)}
    assert found == expected


def test_rare_words_beyond_the_bound_have_no_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "MAX_WORDS", 3)
    words, vectors = cooccurrence_vectors(texts([["a", "x", "b"], ["a", "b", "c"], ["c", "b", "a"]]), 4)
    assert words == ["a", "b", "c"]
    assert vectors.shape == (3, 4)


def test_of_too_many_texts_some_are_read_from_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "MAX_RUNNING", 100)
    words, _ = cooccurrence_vectors(texts([[f"w{i}", "x"] for i in range(200)]), 4)
    assert words[0] == "x"
    assert sorted(words[1:]) == sorted(f"w{i}" for i in range(0, 200, 5))


@pytest.mark.parametrize("some", [[], [[]], [["one"]], [["one"], ["two"]], [["", ""], [""]], [["太", "好"], ["好"]]])
def test_hardly_any_text_gives_numbers(some: list[list[str]]) -> None:
    words, vectors = cooccurrence_vectors(texts(some), 8)
    assert vectors.shape == (len(words), 8)
    assert np.isfinite(vectors).all()
