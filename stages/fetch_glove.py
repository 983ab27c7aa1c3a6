"""Get the word vectors: source text or zip, or the user's own training reviews -> table of words and vectors."""

from pathlib import Path

import pyarrow as pa

from stages.config.params import load_params
from stages.core.cli import run
from stages.core.files import read_table, write_table
from stages.sample.reviews import write_glove
from stages.sources.obtain import is_embedded, obtain
from stages.text.vectors.glove import read_vectors
from stages.text.vectors.table import vector_table
from stages.text.words.tokens import tokenizer


def main(reviews: Path, glove: Path) -> None:
    params = load_params()
    dim = params.embed_glove.dim
    source = getattr(params.sources.glove, params.dataset)
    if params.dataset == "own" and is_embedded(source):
        from stages.text.vectors.cooccurrence import cooccurrence_vectors  # imports scikit-learn, which is slow

        texts = read_table(reviews / "train.parquet", ["text"])["text"].to_pylist()
        words, vectors = cooccurrence_vectors(tokenizer(params.build_vocab.tokenizer)(texts), dim)
        table = vector_table(pa.array(words, pa.string()), vectors)
    else:
        table = read_vectors(obtain("glove", params.dataset, source, write_glove), dim)
    # Byte stream split stores the first bytes of all floats together, then the second ones, …: they compress better
    write_table(glove, table, use_dictionary=False, use_byte_stream_split=["vector.list.element"])
    print(f"{len(table):,} vectors of {dim} numbers")


if __name__ == "__main__":
    run(main)
