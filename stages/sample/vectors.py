"""Make word vectors from the co-occurrences of words in texts, by integer arithmetic: the same bytes on every machine.

The method is random indexing (Kanerva, Kristofersson and Holst 2000). Every word has a sparse random signature. A
word's vector is the sum of the signatures around it, weighted by how much more often than by chance the two words
co-occur. A second pass sums the vectors of the first pass in the same way (reflective random indexing, Cohen et al.
2010), so that words with similar neighbours get similar vectors even if they never co-occur.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from math import isqrt
from operator import mul

import numpy as np
from scipy.sparse import csr_array

TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[^\w\s]")  # as in GloVe, punctuation is split off
DIMENSIONS = 100
SIGNS = 10  # entries of a signature that are +1 or -1
WINDOW = 5  # words on either side
MIN_COUNT = 5  # occurrences of a word with a vector, at least
COMMON = 100  # the so many most frequent words all have a vector
LEFT_OUT = 16  # one in so many of the other words has none, because real vectors lack words too
WORD, MARK = 4, 1  # weights of a word and of punctuation in a token such as "great!"
UNIT = 1_000_000  # numbers are integers in units of 1 / UNIT, 6 decimals
NORM = 6 * UNIT  # length of every vector, about as in GloVe
SCALE = 64  # weights are fixed-point numbers in units of 1 / SCALE

Vector = list[int]
Weights = dict[str, dict[str, int]]


def vector_lines(texts: list[str]) -> Iterator[str]:
    """Yield the lines of a GloVe text file: words by descending count, then tokens of a word and punctuation."""
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
    """Return each word's neighbours and their weights, sqrt(co-occurrences / expected by chance) - 1, if above 0."""
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
    """Return a vector of SIGNS entries of +1 or -1, chosen by the word's hash, and scaled to NORM."""
    vector = [0] * DIMENSIONS
    code = digest(word)
    for index in range(SIGNS):
        vector[code[2 * index] * DIMENSIONS >> 8] += 1 if code[2 * index + 1] & 1 else -1
    return scaled(vector)


def smoothed(vectors: dict[str, Vector], weights: Weights) -> dict[str, Vector]:
    """Return for each word the weighted sum of its neighbours' vectors. It is exact, in 64-bit integers."""
    places = {word: place for place, word in enumerate(vectors)}
    columns = [places[other] for neighbours in weights.values() for other in neighbours]
    values = [weight for neighbours in weights.values() for weight in neighbours.values()]
    ends = np.cumsum([0, *map(len, weights.values())])
    shape = (len(places), len(places))
    matrix = csr_array((np.array(values, np.int64), np.array(columns, np.int64), ends), shape)
    sums = matrix @ np.array(list(vectors.values()), np.int64)
    return {word: scaled(row) for word, row in zip(vectors, sums.tolist(), strict=True)}


def summed(vectors: list[Vector], weights: list[int]) -> Vector:
    """Return the weighted sum of a few vectors."""
    return scaled([sum(map(mul, column, weights)) for column in zip(*vectors, strict=True)])


def centred(vectors: dict[str, Vector]) -> dict[str, Vector]:
    """Return the vectors minus their mean."""
    mean = [sum(column) // len(vectors) for column in zip(*vectors.values(), strict=True)]
    return {word: scaled([a - b for a, b in zip(vector, mean, strict=True)]) for word, vector in vectors.items()}


def scaled(vector: Vector) -> Vector:
    """Return `vector` scaled to the length NORM, rounded down."""
    length = isqrt(sum(value * value for value in vector)) or 1
    return [value * NORM // length for value in vector]


def line(word: str, vector: Vector) -> str:
    return " ".join([word, *map(decimal, vector)])


def decimal(value: int) -> str:
    whole, part = divmod(abs(value), UNIT)
    return f"{'-' if value < 0 else ''}{whole}.{part:06d}"
