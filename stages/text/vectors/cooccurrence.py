"""Word vectors from the user's texts: truncated SVD of positive pointwise mutual information.

The method is that of Levy and Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization". The last digits
differ between machines.
"""

import numpy as np
import pyarrow as pa
from pyarrow import compute
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.utils.extmath import randomized_svd

WINDOW = 5  # words on either side
MAX_WORDS = 30_000  # words with a vector, at most: the most frequent ones
MAX_RUNNING = 1 << 23  # running words to read; of more, evenly spread texts are read
BLOCK = 1 << 20  # running words whose pairs are in memory at a time
NORM = 6.0  # of each vector, about as in GloVe


def cooccurrence_vectors(texts: pa.ListArray, dim: int) -> tuple[list[str], np.ndarray]:
    """Return the most frequent words of tokenized texts, and their vectors, float32 (words, dim).

    MAX_WORDS and MAX_RUNNING bound time and memory.
    """
    step = 1 + len(texts.flatten()) // MAX_RUNNING
    texts = texts.take(pa.array(range(0, len(texts), step), pa.int64()))
    words, ranks = _ranked(texts)
    vectors = np.zeros((len(words), dim), np.float32)
    if len(words) > 1:
        places = np.repeat(np.arange(len(texts)), compute.list_value_length(texts))
        information = _information(_cooccurrences(ranks[ranks >= 0], places[ranks >= 0], len(words)))
        found, strengths, _ = randomized_svd(information, min(dim, len(words)), random_state=0)
        vectors[:, : len(strengths)] = found * np.sqrt(strengths)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors *= NORM / np.where(lengths > 0, lengths, 1)  # a word without neighbours has a vector of zeros
    return words, vectors


def _ranked(texts: pa.ListArray) -> tuple[list[str], np.ndarray]:
    """Return the words by descending count, equal counts alphabetically; and the rank of each running word, or -1."""
    coded = texts.flatten().dictionary_encode()
    spelled = coded.dictionary.to_pylist()
    counts = np.bincount(coded.indices, minlength=len(spelled)).tolist()
    order = sorted(range(len(spelled)), key=lambda code: (-counts[code], spelled[code]))[:MAX_WORDS]
    ranks = np.full(len(spelled), -1)
    ranks[order] = np.arange(len(order))
    return [spelled[code] for code in order], ranks[coded.indices]


def _cooccurrences(ranks: np.ndarray, places: np.ndarray, words: int) -> coo_array:
    """Return how often two words are near each other, (words, words); `places`: the text of each running word."""
    counts = csr_array((words, words), dtype=np.float32)
    for start in range(0, len(ranks), BLOCK):
        for distance in range(1, WINDOW + 1):
            right = slice(start + distance, start + distance + BLOCK)
            left = slice(start, start + len(ranks[right]))
            near = places[left] == places[right]
            pairs = ranks[left][near], ranks[right][near]
            counts += csr_array((np.ones(len(pairs[0]), np.float32), pairs), counts.shape)
    return (counts + counts.T).tocoo()


def _information(counts: coo_array) -> csr_matrix:
    """Return the positive pointwise mutual information of co-occurrence counts (words, words)."""
    totals = counts.sum(1)
    information = np.log(counts.data * totals.sum() / (totals[counts.row] * totals[counts.col]))
    kept = information > 0
    return csr_matrix((information[kept].astype(np.float32), (counts.row[kept], counts.col[kept])), counts.shape)
