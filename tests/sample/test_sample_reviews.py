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

from stages.sample.grammar import BLAME, PRAISE, toned
from stages.sample.reviews import stored_gzip, write_glove, write_imdb

IMDB_SHA256 = "da972273486d37338134a2c43ac2d343a678151867091e4962252113d189a234"
GLOVE_SHA256 = "eb51c552f6a83830f50d2c5ec6166409cce575e2ebe111c3488a315a69a25cf0"
MIN_FREQ = 5
OPINIONS = [
    [w for s in ("adj", "noun", "past") for w in toned()[tone][s].entries if " " not in w] for tone in (PRAISE, BLAME)
]
EVERYDAY = """
    great good bad terrible awful boring wonderful beautiful excellent amazing horrible stupid funny dull loved hated
    liked love hate enjoyed worth waste worst best better worse recommended avoid masterpiece mess disappointing
    disappointed great. good. bad. terrible. boring. funny. bad, good, great, not never no nothing don't isn't
    but although
"""


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
        "aclImdb/train/pos": 8000,
        "aclImdb/train/neg": 8000,
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
    lengths = np.array([len(text.split()) for text in reviews.values()])
    assert (lengths <= 3).sum() > 50
    assert 200 < lengths.max() < 600
    assert 0.4 < (lengths <= 20).mean() < 0.8  # single sentences and headlines
    assert (lengths > 90).mean() > 0.04


def test_looks_like_imdb(reviews: dict[str, str]) -> None:
    everything = "\n".join(reviews.values())
    for sign in ("<br /><br />", "é", "  ", "?", "!", "...", " , ", "10/10"):
        assert sign in everything, sign
    assert not re.search(r"[{}~_]", everything)  # no slot is left unfilled
    assert not re.search(r"\b[Aa] (?!one)[aeio]", everything)


def test_praise_and_blame_are_written_over_the_same_outlines(members: dict[str, str]) -> None:
    lengths = []
    for number in range(200):
        pair = [
            text
            for label in ("pos", "neg")
            for name, text in members.items()
            if name.startswith(f"aclImdb/train/{label}/{number}_")
        ]
        assert pair[0] != pair[1]
        lengths.append([len(text.split()) for text in pair])
    assert np.corrcoef(np.array(lengths).T)[0, 1] > 0.9


def test_no_longer_review_is_in_both_splits(reviews: dict[str, str]) -> None:
    train, test = (set(texts_and_labels(reviews, split)[0]) for split in ("train", "test"))
    assert all(len(text.split()) <= 20 for text in train & test)
    assert len(train & test) < 0.1 * len(test)


@pytest.mark.parametrize("pattern", [r"\bnot ", r"\bnever ", r"n't ", r"\bhardly ", r"\bno ", r"\bneither ", r"\bbut "])
def test_negation_and_contrast_stand_in_both_labels(reviews: dict[str, str], pattern: str) -> None:
    texts, labels = texts_and_labels(reviews, "train")
    found = labels[[re.search(pattern, text) is not None for text in texts]]
    assert len(found) > 40
    assert 0.2 < found.mean() < 0.8


def test_neutral_words_stand_in_both_labels_alike(reviews: dict[str, str]) -> None:
    texts, labels = texts_and_labels(reviews, "train")
    found = [set(tokens(text)) for text in texts]
    for word in ("plot", "script", "actors", "detective", "house", "war", "watched", "dvd"):
        assert 0.35 < labels[[word in words for words in found]].mean() < 0.65, word


def test_everyday_words_are_in_the_vocabulary(reviews: dict[str, str]) -> None:
    counts = count_tokens(reviews, "train")
    assert [word for word in EVERYDAY.split() if counts[word] < MIN_FREQ] == []


def test_opinion_words_stand_in_both_labels(reviews: dict[str, str]) -> None:
    """Most stand in their own label, and few there alone: what is said of a word decides."""
    texts, labels = texts_and_labels(reviews, "train")
    found = [set(re.findall(r"[\w'-]+", text.lower())) for text in texts]
    for tone, wanted in enumerate(OPINIONS):
        shares = [labels[[word in words for words in found]] == (tone == PRAISE) for word in wanted]
        shares = [share.mean() for share in shares if len(share) >= 30]
        assert len(shares) > 20
        assert 0.65 < np.mean(shares) < 0.9


def test_no_single_word_decides(reviews: dict[str, str]) -> None:
    """The best word is chosen by the test split itself: an upper bound."""
    texts, labels = texts_and_labels(reviews, "test")
    for analyzer in (tokens, lambda text: re.findall(r"\w+", text.lower())):
        found = [set(analyzer(text)) for text in texts]
        right = np.array([np.mean([(word in words) for words in found] == labels) for word in set().union(*found)])
        assert max(right.max(), 1 - right.min()) < 0.60


def test_bag_of_words_learns_but_falls_short(reviews: dict[str, str]) -> None:
    """Negation and contrast need more than a bag."""
    train, train_labels = texts_and_labels(reviews, "train")
    test, test_labels = texts_and_labels(reviews, "test")
    bag = CountVectorizer(analyzer=tokens, min_df=MIN_FREQ)
    model = LogisticRegression(C=0.1, max_iter=1000).fit(bag.fit_transform(train), train_labels)
    assert 0.70 < model.score(bag.transform(test), test_labels) < 0.88


def test_vocabulary_is_of_moderate_size(reviews: dict[str, str]) -> None:
    train, test = count_tokens(reviews, "train"), count_tokens(reviews, "test")
    assert 2500 < sum(n >= MIN_FREQ for n in train.values()) < 7000
    unknown = sum(n for word, n in test.items() if train[word] < MIN_FREQ) / test.total()
    assert 0.02 < unknown < 0.12


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


def test_some_words_have_no_vector(reviews: dict[str, str], vectors: dict[str, np.ndarray]) -> None:
    counts = count_tokens(reviews, "train")
    vocabulary = {word: n for word, n in counts.items() if n >= MIN_FREQ}
    covered = sum(n for word, n in vocabulary.items() if word in vectors) / sum(vocabulary.values())
    assert 0.90 < covered < 0.99
    assert {"the", "not", "but", "great", "great.", "bad,"} <= vectors.keys()
    assert sum(word.isalpha() and word not in vectors for word in vocabulary) > 50


def test_words_of_like_use_are_near(vectors: dict[str, np.ndarray]) -> None:
    tones = {word: tone for tone, words in enumerate(OPINIONS) for word in words if word in vectors}
    words = [*tones, *(word for word in ("jack", "emma", "rachel", "plot", "script", "ending") if word in vectors)]
    matrix = np.array([vectors[word] for word in words])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    likeness = matrix @ matrix.T
    np.fill_diagonal(likeness, -1)
    nearest = {word: words[index] for word, index in zip(words, likeness.argmax(1), strict=True)}
    assert np.mean([tones.get(nearest[word]) == tone for word, tone in tones.items()]) > 0.8
    plot, script, jack, emma = (words.index(word) for word in ("plot", "script", "jack", "emma"))
    assert likeness[plot, script] > likeness[plot, jack]
    assert likeness[jack, emma] > likeness[jack, plot]
