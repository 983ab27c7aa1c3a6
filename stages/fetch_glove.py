"""Read the word vectors: source text or zip, or own training reviews -> table of words and vectors."""

from pathlib import Path

import pyarrow as pa

from stages.core.cli import run
from stages.core.files import read_table, write_table
from stages.core.params import load_params
from stages.core.sources import EMBEDDED, obtain
from stages.sample.reviews import write_glove
from stages.text.cooccurrence import cooccurrence_vectors
from stages.text.tokens import tokenizer
from stages.text.vectors import read_vectors, vector_table


def main(train: Path, glove: Path) -> None:
    params = load_params()
    dim = params.embed_glove.dim
    source = getattr(params.sources.glove, params.dataset)
    if params.dataset == "own" and EMBEDDED in source.urls:
        texts = read_table(train, ["text"])["text"].to_pylist()
        words, vectors = cooccurrence_vectors(tokenizer(params.build_vocab.tokenizer)(texts), dim)
        table = vector_table(pa.array(words, pa.string()), vectors)
    else:
        table = read_vectors(obtain("glove", params.dataset, source, write_glove), dim)
    # Like bytes of the floats stand together, which makes the table smaller than the zip that it comes from.
    write_table(glove, table, use_dictionary=False, use_byte_stream_split=["vector.list.element"])
    print(f"{len(table):,} vectors of {dim} numbers")


if __name__ == "__main__":
    run(main)
