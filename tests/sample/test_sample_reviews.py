"""The sample's archives are the same bytes everywhere, laid out as the originals, and hard enough to learn from."""

import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from stages.sample.grammar import TONED
from stages.sample.reviews import stored_gzip, write_glove, write_imdb

IMDB_SHA256 = "b8886487d24761ee62e2239f5aa43f686de03d53eb965d1bf8ad400e05b0b173"
GLOVE_SHA256 = "6d5770869d93c00a8434c6c2846f39b874940548d2d324ba2e60aee50547b048"
MIN_FREQ = 5
OPINIONS = [[entry.lstrip("*+") for symbol in ("adj", "noun", "past") for entry in TONED[symbol][i]] for i in (0, 1)]


@pytest.fixture(scope="module")
def imdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imdb") / "aclImdb.tar.gz"
    write_imdb(path)
    return path


@pytest.fixture(scope="module")
def glove(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("glove") / "glove.zip"
    write_glove(path)
    return path


@pytest.fixture(scope="module")
def members(imdb: Path) -> dict[str, str]:
    with tarfile.open(imdb, "r:gz") as archive:
        return {member.name: content.read().decode() for member in archive if (content := archive.extractfile(member))}


@pytest.fixture(scope="module")
def reviews(members: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in members.items() if "/pos/" in name or "/neg/" in name}


@pytest.fixture(scope="module")
def vectors(glove: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(glove) as archive:
        lines = archive.read("glove.sample.100d.txt").decode().splitlines()
    return {word: np.array(values, float) for word, *values in (line.split(" ") for line in lines)}


def texts_and_labels(reviews: dict[str, str], split: str) -> tuple[list[str], np.ndarray]:
    names = [name for name in reviews if f"/{split}/" in name]
    return [reviews[name] for name in names], np.array(["/pos/" in name for name in names])


def tokens(text: str) -> list[str]:
    return text.lower().split(" ")


def count_tokens(reviews: dict[str, str], split: str) -> Counter[str]:
    return Counter(word for text in texts_and_labels(reviews, split)[0] for word in tokens(text))


def words_of(texts: list[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[^\W_]+", text.lower())}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_bytes_on_every_machine(imdb: Path, glove: Path) -> None:
    assert (sha256(imdb), sha256(glove)) == (IMDB_SHA256, GLOVE_SHA256)


def test_same_bytes_again(imdb: Path, glove: Path, tmp_path: Path) -> None:
    write_imdb(tmp_path / "again.tar.gz")
    write_glove(tmp_path / "again.zip")
    assert (tmp_path / "again.tar.gz").read_bytes() == imdb.read_bytes()
    assert (tmp_path / "again.zip").read_bytes() == glove.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 0xFFFF, 0xFFFF + 1, 2 * 0xFFFF])
def test_stored_gzip(size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    assert gzip.decompress(stored_gzip(content)) == content


def test_nothing_is_compressed(imdb: Path, glove: Path) -> None:
    assert imdb.stat().st_size > len(gzip.decompress(imdb.read_bytes()))
    with zipfile.ZipFile(glove) as archive:
        assert [(member.filename, member.compress_type) for member in archive.infolist()] == [
            ("glove.sample.100d.txt", zipfile.ZIP_STORED)
        ]


def test_tar_headers_tell_nothing_of_the_machine(imdb: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(imdb.read_bytes())) as archive:
        found = archive.getmembers()
    assert len({(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in found}) == 1
    assert [m.name for m in found] == sorted(m.name for m in found)


def test_layout(members: dict[str, str]) -> None:
    folders = Counter(name.rpartition("/")[0] for name in members)
    assert folders == {
        "aclImdb": 1,
        "aclImdb/train/pos": 1000,
        "aclImdb/train/neg": 1000,
        "aclImdb/train/unsup": 40,
        "aclImdb/test/pos": 500,
        "aclImdb/test/neg": 500,
    }
    assert "aclImdb/README" in members


def test_ids_and_ratings(members: dict[str, str]) -> None:
    allowed = {"pos": {7, 8, 9, 10}, "neg": {1, 2, 3, 4}, "unsup": {0}}
    ids: dict[str, list[int]] = {}
    ratings: dict[str, set[int]] = {}
    for name in members.keys() - {"aclImdb/README"}:
        match = re.fullmatch(r"aclImdb/(\w+/(\w+))/(\d+)_(\d+)\.txt", name)
        assert match, name
        ids.setdefault(match[1], []).append(int(match[3]))
        ratings.setdefault(match[2], set()).add(int(match[4]))
    assert ratings == allowed
    for folder, found in ids.items():
        assert sorted(found) == list(range(len(found))), folder


def test_lengths(reviews: dict[str, str]) -> None:
    lengths = [len(text.split()) for text in reviews.values()]
    assert min(lengths) >= 40
    assert max(lengths) <= 200
    assert max(lengths) > 2 * min(lengths)


def test_looks_like_imdb(reviews: dict[str, str]) -> None:
    everything = "\n".join(reviews.values())
    for sign in ("<br /><br />", "é", '"', "  ", " NOT ", "?", "!", ";"):
        assert sign in everything, sign
    assert not re.search(r"[{}~*+]", everything)  # no slot is left unfilled
    assert not re.search(r"\b[Aa] [aeiou]", everything)


def test_no_review_twice(reviews: dict[str, str]) -> None:
    assert len(set(reviews.values())) == len(reviews)


def test_opinion_words_stand_in_both_labels(reviews: dict[str, str]) -> None:
    texts, labels = texts_and_labels(reviews, "train")
    found = [set(re.findall(r"\w+", text.lower())) for text in texts]
    for word in (*OPINIONS[0], *OPINIONS[1]):
        positive = [label for label, words in zip(labels, found, strict=True) if word in words]
        if len(positive) >= 30:
            assert 0.2 < np.mean(positive) < 0.8, word


def test_no_single_word_decides(reviews: dict[str, str]) -> None:
    """The best word is chosen by the test split itself: an upper bound."""
    texts, labels = texts_and_labels(reviews, "test")
    for analyzer in (tokens, lambda text: re.findall(r"\w+", text.lower())):
        found = [set(analyzer(text)) for text in texts]
        right = np.array([np.mean([(word in words) for words in found] == labels) for word in set().union(*found)])
        assert max(right.max(), 1 - right.min()) < 0.60


def test_bag_of_words_learns_but_falls_short(reviews: dict[str, str]) -> None:
    """Negation, hearsay and contrast need more than a bag: the models reach about .90."""
    train, train_labels = texts_and_labels(reviews, "train")
    test, test_labels = texts_and_labels(reviews, "test")
    bag = CountVectorizer(analyzer=tokens, min_df=MIN_FREQ)
    model = LogisticRegression(C=0.1, max_iter=1000).fit(bag.fit_transform(train), train_labels)
    assert 0.70 < model.score(bag.transform(test), test_labels) < 0.85


def test_vocabulary_is_of_moderate_size(reviews: dict[str, str]) -> None:
    counts = count_tokens(reviews, "train")
    assert 500 < sum(n >= MIN_FREQ for n in counts.values()) < 1000


def test_test_half_has_words_that_are_rare_in_train(reviews: dict[str, str]) -> None:
    train, test = count_tokens(reviews, "train"), count_tokens(reviews, "test")
    rare = {word for word, n in test.items() if n >= 10 and n / test.total() > 5 * train[word] / train.total()}
    assert {"dazzling", "abysmal", "granted,"} <= rare
    unknown = sum(n for word, n in test.items() if train[word] < MIN_FREQ) / test.total()
    assert 0.01 < unknown < 0.06


def test_vector_lines(glove: Path, vectors: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(glove) as archive:
        lines = archive.read("glove.sample.100d.txt").decode().splitlines()
    assert len(lines) == len(vectors) > 400
    for line in lines:
        assert re.fullmatch(r"\S+(?: -?\d\.\d{6}){100}", line), line[:40]


def test_vector_sizes(vectors: dict[str, np.ndarray]) -> None:
    matrix = np.array(list(vectors.values()))
    norms = np.sqrt((matrix**2).sum(1))
    assert norms.min() > 3
    assert norms.max() < 7
    assert abs(matrix.mean()) < 0.1


def test_words_of_the_test_half_alone_have_no_vector(
    members: dict[str, str], reviews: dict[str, str], vectors: dict[str, np.ndarray]
) -> None:
    seen = words_of([text for name, text in members.items() if "/train/" in name])
    alone = words_of(texts_and_labels(reviews, "test")[0]) - seen
    assert {"lisbon", "octavia", "beekeeper"} <= alone
    assert not alone & vectors.keys()


def test_some_words_have_no_vector(reviews: dict[str, str], vectors: dict[str, np.ndarray]) -> None:
    counts = count_tokens(reviews, "train")
    vocabulary = {word: n for word, n in counts.items() if n >= MIN_FREQ}
    covered = sum(n for word, n in counts.items() if word in vectors) / counts.total()
    assert 0.80 < covered < 0.90
    assert 0.45 < sum(word in vectors for word in vocabulary) / len(vocabulary) < 0.65
    assert {"the", "not", "but", "hardly"} <= vectors.keys()
    assert sum(word.isalpha() and word not in vectors for word in vocabulary) > 20


def test_words_of_like_use_are_near(vectors: dict[str, np.ndarray]) -> None:
    tones = {word: tone for tone, words in enumerate(OPINIONS) for word in words if word in vectors}
    words = [*tones, *(word for word in ("jack", "emma", "rachel", "plot", "script", "ending") if word in vectors)]
    matrix = np.array([vectors[word] for word in words])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    likeness = matrix @ matrix.T
    np.fill_diagonal(likeness, -1)
    nearest = {word: words[index] for word, index in zip(words, likeness.argmax(1), strict=True)}
    assert np.mean([tones.get(nearest[word]) == tone for word, tone in tones.items()]) > 0.9
    assert nearest["jack"] in ("emma", "rachel")
    assert nearest["plot"] in ("script", "ending")
