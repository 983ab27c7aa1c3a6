"""Word vectors from texts alone: what words meet how much oftener than chance, in a few dimensions.

The singular vectors of positive pointwise mutual information: Levy and Goldberg 2014, "Neural Word Embedding as
Implicit Matrix Factorization". The last digits differ from machine to machine.
"""

import numpy as np
import pyarrow as pa
from pyarrow import compute
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.utils.extmath import randomized_svd

WINDOW = 5  # words on either side
MOST_WORDS = 30_000  # that have a vector, the most frequent ones
MOST_RUNNING = 1 << 23  # running words that are read; of more, texts that are evenly spread
BLOCK = 1 << 20  # running words whose pairs are in memory at once
LENGTH = 6.0  # of each vector, about as in GloVe


def cooccurrence_vectors(texts: pa.ListArray, dim: int) -> tuple[list[str], np.ndarray]:
    """Return the words of `texts`, lists of words, the most frequent first; and their vectors, float32 (words, dim).

    Time and memory have a bound, whatever the texts: see MOST_WORDS and MOST_RUNNING.
    """
    step = 1 + len(texts.flatten()) // MOST_RUNNING
    texts = texts.take(pa.array(range(0, len(texts), step), pa.int64()))
    words, ranks = _ranked(texts)
    vectors = np.zeros((len(words), dim), np.float32)
    if len(words) > 1:
        places = np.repeat(np.arange(len(texts)), compute.list_value_length(texts))
        information = _information(_meetings(ranks[ranks >= 0], places[ranks >= 0], len(words)))
        found, strengths, _ = randomized_svd(information, min(dim, len(words)), random_state=0)
        vectors[:, : len(strengths)] = found * np.sqrt(strengths)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors *= LENGTH / np.where(lengths > 0, lengths, 1)  # no neighbour, no vector
    return words, vectors


def _ranked(texts: pa.ListArray) -> tuple[list[str], np.ndarray]:
    """Return the words by falling count, equal counts by alphabet; and the rank of each running word, -1 beyond."""
    coded = texts.flatten().dictionary_encode()
    spelled = coded.dictionary.to_pylist()
    counts = np.bincount(coded.indices, minlength=len(spelled)).tolist()
    order = sorted(range(len(spelled)), key=lambda code: (-counts[code], spelled[code]))[:MOST_WORDS]
    ranks = np.full(len(spelled), -1)
    ranks[order] = np.arange(len(order))
    return [spelled[code] for code in order], ranks[coded.indices]


def _meetings(ranks: np.ndarray, places: np.ndarray, words: int) -> coo_array:
    """Return how often each word stands near each other one (words, words), of running words and their texts."""
    met = csr_array((words, words), dtype=np.float32)
    for start in range(0, len(ranks), BLOCK):
        for distance in range(1, WINDOW + 1):
            right = slice(start + distance, start + distance + BLOCK)
            left = slice(start, start + len(ranks[right]))
            near = places[left] == places[right]
            pairs = ranks[left][near], ranks[right][near]
            met += csr_array((np.ones(len(pairs[0]), np.float32), pairs), met.shape)
    return (met + met.T).tocoo()


def _information(met: coo_array) -> csr_matrix:
    """Return the logarithm of (met ÷ met by chance), where it is above 0."""
    meetings = met.sum(1)
    information = np.log(met.data * meetings.sum() / (meetings[met.row] * meetings[met.col]))
    kept = information > 0
    return csr_matrix((information[kept].astype(np.float32), (met.row[kept], met.col[kept])), met.shape)
