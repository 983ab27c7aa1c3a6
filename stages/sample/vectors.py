"""Word vectors from the texts' own co-occurrences, in integers alone: the same bytes on every machine.

Every word has a sparse random signature. A word's vector is the sum of the signatures around it, each weighed by how
much oftener than chance the two words meet; a second pass sums the first pass's vectors in the same way, so that words
of like company come near each other though they never met. Nothing here is a float, and nothing is a trained model.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from math import isqrt
from operator import mul

import numpy as np
from scipy.sparse import csr_array

TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[^\w\s]")  # GloVe's way: punctuation stands apart
DIMENSIONS = 100
SIGNS = 10  # entries of a signature that are +1 or -1
WINDOW = 5  # words on either side
MIN_COUNT = 5  # a word that is rarer has no vector
COMMON = 100  # the most frequent words, which all have a vector
LEFT_OUT = 16  # of the others one in so many has none: the real vectors lack words too
WORD, MARK = 4, 1  # weights of the parts of "great!"
UNIT = 1_000_000  # 6 decimals
NORM = 6 * UNIT  # every vector's length, about as in GloVe
SCALE = 64  # fixed point of the weights

Vector = list[int]
Weights = dict[str, dict[str, int]]


def vector_lines(texts: list[str]) -> Iterator[str]:
    """The lines of a GloVe text file, the most frequent word first; then the words that punctuation sticks to."""
    texts = [text.lower() for text in texts]
    sentences = [TOKEN.findall(text.replace("<br />", " ")) for text in texts]
    counts = Counter(word for sentence in sentences for word in sentence)
    words = sorted((word for word, n in counts.items() if n >= MIN_COUNT), key=lambda word: (-counts[word], word))
    weights = associations(sentences, words, counts)
    vectors = {word: signature(word) for word in words}
    for _ in range(2):
        vectors = centred(smoothed(vectors, weights))
    kept = {word for rank, word in enumerate(words) if rank < COMMON or digest(word)[-1] % LEFT_OUT}
    tokens = Counter(token for text in texts for token in text.split())
    glued = [token for token, n in tokens.items() if n >= MIN_COUNT and token not in vectors]
    parts = {token: found for token in sorted(glued) if kept.issuperset(found := TOKEN.findall(token))}
    for word in words:
        if word in kept:
            yield line(word, vectors[word])
    for token, found in parts.items():
        yield line(
            token, summed([vectors[part] for part in found], [WORD if part[0].isalnum() else MARK for part in found])
        )


def associations(sentences: list[list[str]], words: list[str], counts: Counter[str]) -> Weights:
    """For each word its neighbours, each weighed by the root of (met ÷ met by chance) minus 1, if above 0."""
    known = set(words)
    pairs: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        kept = [word for word in sentence if word in known]
        for distance in range(1, WINDOW + 1):
            pairs.update(zip(kept, kept[distance:], strict=False))
    met: Counter[tuple[str, str]] = Counter()
    for (left, right), n in pairs.items():
        met[left, right] += n
        met[right, left] += n
    total = sum(counts[word] for word in words)
    weights: dict[str, dict[str, int]] = {word: {} for word in words}
    for (word, other), n in met.items():
        chance = counts[word] * counts[other] * 2 * WINDOW
        weight = isqrt(SCALE * SCALE * n * total // chance) - SCALE
        if weight > 0:
            weights[word][other] = weight
    return weights


def digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()


def signature(word: str) -> Vector:
    """A few +1 and -1 at places that the word's hash picks, scaled as every vector."""
    vector = [0] * DIMENSIONS
    code = digest(word)
    for index in range(SIGNS):
        vector[code[2 * index] * DIMENSIONS >> 8] += 1 if code[2 * index + 1] & 1 else -1
    return scaled(vector)


def smoothed(vectors: dict[str, Vector], weights: Weights) -> dict[str, Vector]:
    """For each word the weighed sum of its neighbours' vectors, in 64-bit integers: exact, whatever the order."""
    places = {word: place for place, word in enumerate(vectors)}
    columns = [places[other] for neighbours in weights.values() for other in neighbours]
    values = [weight for neighbours in weights.values() for weight in neighbours.values()]
    ends = np.cumsum([0, *map(len, weights.values())])
    shape = (len(places), len(places))
    matrix = csr_array((np.array(values, np.int64), np.array(columns, np.int64), ends), shape)
    sums = matrix @ np.array(list(vectors.values()), np.int64)
    return {word: scaled(row) for word, row in zip(vectors, sums.tolist(), strict=True)}


def summed(vectors: list[Vector], weights: list[int]) -> Vector:
    """The weighed sum of a few vectors."""
    return scaled([sum(map(mul, column, weights)) for column in zip(*vectors, strict=True)])


def centred(vectors: dict[str, Vector]) -> dict[str, Vector]:
    """The vectors less their mean, which says nothing about any one of them."""
    mean = [sum(column) // len(vectors) for column in zip(*vectors.values(), strict=True)]
    return {word: scaled([a - b for a, b in zip(vector, mean, strict=True)]) for word, vector in vectors.items()}


def scaled(vector: Vector) -> Vector:
    """`vector` at length `NORM`; rounded down, as all here."""
    length = isqrt(sum(value * value for value in vector)) or 1
    return [value * NORM // length for value in vector]


def line(word: str, vector: Vector) -> str:
    return " ".join([word, *map(decimal, vector)])


def decimal(value: int) -> str:
    whole, part = divmod(abs(value), UNIT)
    return f"{'-' if value < 0 else ''}{whole}.{part:06d}"
