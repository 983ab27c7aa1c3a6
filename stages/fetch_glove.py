"""Read the word vectors: source text or zip -> table of words and vectors."""

from pathlib import Path

from stages.core.cli import run
from stages.core.files import write_table
from stages.core.params import load_params
from stages.core.sources import obtain
from stages.sample.reviews import write_glove
from stages.text.vectors import read_vectors


def main(glove: Path) -> None:
    params = load_params()
    dim = params.embed_glove.dim
    source = obtain("glove", params.dataset, getattr(params.sources.glove, params.dataset), write_glove)
    table = read_vectors(source, dim)
    # Like bytes of the floats stand together, which makes the table smaller than the zip that it comes from.
    write_table(glove, table, use_dictionary=False, use_byte_stream_split=["vector.list.element"])
    print(f"{len(table):,} vectors of {dim} numbers")


if __name__ == "__main__":
    run(main)
