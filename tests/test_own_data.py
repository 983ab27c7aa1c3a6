"""Data of the user's own, through the stages in this process and by the real `dvc`."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stages.core.files import InputError, read_json, read_table
from stages.evaluation.titles import TEXT_MODELS
from stages.text.batches.reviews import read_reviews
from stages.text.vectors.table import vectors_of
from tests.project import ROOT, STAGES, Project, arguments, files, outs, ran

DATA = ("download_imdb", "build_vocab", "tensorize", "fetch_glove", "embed_glove")
PRAISE, MIXED, BLAME = "这部电影太好看了", "这部电影还可以。", "这部电影不好看。"


def csv_of(path: Path, praise: str = PRAISE) -> Path:
    texts = {"好": praise, "一般": MIXED, "差": BLAME}
    rows = [f"{texts[label]}第{i}次。,{label}" for i in range(20) for label in texts]
    path.write_text("\n".join(["评论,类别", *rows]) + "\n", encoding="utf-8")
    return path


def run(*stages: str, **changes: Any) -> None:
    """Run stages in this folder, with the project's params.yaml but for the `changes`, by section."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in changes.items():
        params[section] = params[section] | values if isinstance(values, dict) else values
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for name in stages:
        import_module(f"stages.{name}").main(*map(Path, arguments(name)))


def test_a_language_without_spaces_in_three_classes_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTIDOG_CACHE", str(tmp_path / "cache"))
    small = {"device": "cpu", "threads": 1, "precision": "fp32", "epochs": 30, "batch_size": 16}
    threads = torch.get_num_threads()
    run(
        *DATA, "train_linear", "train_birnn", "train_textcnn", "evaluate",
        dataset="own",
        own={"reviews": str(csv_of(tmp_path / "评论.csv")), "text": "评论", "label": "类别", "test_fraction": 0.25},
        build_vocab={"tokenizer": "characters"},
        train_birnn=small | {"num_hiddens": 8, "num_layers": 1},
        train_textcnn=small | {"num_channels": 8},
        evaluate={"device": "cpu", "threads": 1, "precision": "fp32"},
    )  # fmt: skip
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    test = read_reviews(Path("artifacts/reviews/test.safetensors"))
    assert test.classes == ["一般", "好", "差"]
    assert test.labels.bincount().tolist() == [5, 5, 5]
    assert read_json(Path("artifacts/textcnn/config.json"))["tokenizer"] == "characters"
    figures = read_json(Path("artifacts/evaluation/figures.json"))["models"]
    for name in TEXT_MODELS:
        assert figures[name]["accuracy"] > 0.9


def test_validation_rows_choose_the_epoch_and_the_test_split_stays_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SENTIDOG_CACHE", str(tmp_path / "cache"))
    rows = [f"{word} film {i},{word},{split}" for split in ("train", "val", "test") for i in range(12)
            for word in ("good", "bad")]  # fmt: skip
    rows[24] = "good film 99,bad,val"  # where all is right nothing can be calibrated
    (tmp_path / "a.csv").write_text("\n".join(["text,label,split", *rows]))
    own = {"reviews": str(tmp_path / "a.csv"), "split": "split"}
    run(*DATA, dataset="own", own=own, build_vocab={"min_freq": 1}, embed_glove={"dim": 7})
    train = read_reviews(Path("artifacts/reviews/train.safetensors"))
    assert train.validation is not None
    assert train.validation.tolist() == list(range(24, 48))
    assert read_reviews(Path("artifacts/reviews/test.safetensors")).validation is None
    Path("artifacts/reviews/test.safetensors").write_bytes(b"unread")
    threads = torch.get_num_threads()
    small = {"device": "cpu", "threads": 1, "precision": "fp32", "epochs": 3, "num_channels": 4}
    small |= {"patience": 3, "calibrate": True}
    linear = {"min_reviews": 1, "calibrate": True}
    run("train_linear", "train_textcnn", dataset="own", own=own, train_textcnn=small, train_linear=linear)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    assert "validation_accuracy" in Path("artifacts/textcnn/curves.csv").read_text(encoding="utf-8")
    configs = [read_json(Path(f"artifacts/{name}/config.json")) for name in ("textcnn", "linear")]
    assert configs[0]["trained_on"]["kept_epoch"] in (1, 2, 3)
    assert all(config["temperature"] != 1 for config in configs)


def test_texts_that_are_in_two_parts_of_the_users_split_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["a film,x,train", "b film,y,train", "A  Film,x,test", "c film,y,test", "b film,y,val", "d,x,val", "e,x,val",
            "D,x,test"]  # fmt: skip
    (tmp_path / "a.csv").write_text("\n".join(["text,label,split", *rows]))
    run("download_imdb", dataset="own", own={"reviews": str(tmp_path / "a.csv"), "split": "split"})
    said = capsys.readouterr()
    assert "3 of the training reviews are the validation split" in said.out
    warnings = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: 1 of 3 validation texts occur in the training split, such as validation/000006: a model may know "
        "them by heart",
        "warning: 2 of 3 test texts occur in the training split, such as test/000004: a model may know them by heart",
    ]


def test_a_vocabulary_without_a_word_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"unique{i}  words{i} only{i},{label}" for i in range(4) for label in "ab"]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *(f"{row}" for row in rows)]))
    own = {"reviews": str(tmp_path / "a.csv")}
    with pytest.raises(
        InputError, match=r"build_vocab\.min_freq: none of the \d+ words .* occurs 5 times; set it lower"
    ):
        run("download_imdb", "build_vocab", dataset="own", own=own)
    assert not Path("artifacts/vocab.parquet").exists()


@pytest.mark.parametrize(
    ("words", "likely"),
    [
        (("The", "Film", "Nacht"), "in lower case, as reviews are read here, 1 of them would match"),
        (("le", "cin\u00e9ma", "nuit"), "are they of another language"),
    ],
)
def test_vectors_of_no_word_of_the_reviews_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], likely: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vectors.txt").write_text("".join(f"{word} 1 2 3\n" for word in words))
    (tmp_path / "a.csv").write_text(
        "\n".join(["text,label", *(f"a film {i} seen,{label}" for i in range(9) for label in "ab")])
    )
    sources = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["sources"]
    sources["glove"]["own"]["urls"] = [str(tmp_path / "vectors.txt")]
    own = {"reviews": str(tmp_path / "a.csv")}
    with pytest.raises(InputError, match=f"none of the vocabulary's 3 words has a vector.*'{words[0]}'.*{likely}"):
        run(*DATA, dataset="own", own=own, sources=sources, embed_glove={"dim": 3})
    assert not Path("artifacts/glove.safetensors").exists()


def test_vectors_come_from_the_training_split_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["text,label,split", *(f"word{i} and film,{i % 2},train" for i in range(20)), "unheard,0,test", "of,1,test"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    own = {"reviews": str(tmp_path / "a.csv"), "split": "split"}
    run(*DATA, dataset="own", own=own, build_vocab={"min_freq": 1}, embed_glove={"dim": 7})
    glove = read_table(Path("data/glove.parquet"))
    assert set(glove["word"].to_pylist()) == {"and", "film", *(f"word{i}" for i in range(20))}
    assert vectors_of(glove).shape == (22, 7)
    assert read_json(Path("artifacts/coverage.json"))["share_of_running_words"] == 1


def test_a_users_file_of_vectors_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vectors.txt").write_text("film 1 2 3\nnacht 4 5 6\n")
    sources = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["sources"]
    sources["glove"]["own"]["urls"] = [str(tmp_path / "vectors.txt")]
    own = {"reviews": str(ROOT / "data/example/reviews.csv")}
    run("download_imdb", "fetch_glove", dataset="own", own=own, sources=sources, embed_glove={"dim": 3})
    assert read_table(Path("data/glove.parquet"))["word"].to_pylist() == ["film", "nacht"]


def test_dvc_sees_an_edit_of_the_users_file_and_reruns_what_reads_it(project: Project, tmp_path: Path) -> None:
    own = csv_of(tmp_path / "own reviews.csv")
    project.edit({"dataset": "own", "own.reviews": str(own), "own.text": "评论", "own.label": "类别"})
    project.edit({"build_vocab.tokenizer": "characters"})
    assert project.repro("tensorize") == ["download_imdb", "build_vocab", "tensorize"]
    assert project.repro("tensorize") == []
    csv_of(own, "这部电影非常好看")
    (changes,) = json.loads(project.dvc("status", "--json", "download_imdb"))["download_imdb"]
    assert changes == {"changed deps": {str(own): "modified"}}
    assert project.repro("tensorize") == ["download_imdb", "build_vocab", "tensorize"]
    texts = read_table(project.folder / "data/imdb/train.parquet")["text"].to_pylist()
    assert any("非常好看" in text for text in texts)


def test_dvc_sees_an_edit_of_the_users_vectors_and_weights(project: Project, tmp_path: Path) -> None:
    vectors, weights = tmp_path / "own vectors.vec", tmp_path / "weights.safetensors"
    vectors.write_text("film 1 2 3\n")
    weights.write_bytes((project.folder / "data/source_model.safetensors").read_bytes())
    own = csv_of(tmp_path / "own reviews.csv")
    project.edit({"dataset": "own", "own.reviews": str(own), "own.text": "评论", "own.label": "类别"})
    project.edit({"sources.glove.own.urls": [str(vectors)], "embed_glove.dim": 3})
    project.edit({"sources.source_model.own.urls": [str(weights)]})
    stages = {"download_imdb", "fetch_glove", "fetch_source_model"}
    assert set(project.repro("fetch_glove", "fetch_source_model")) == stages
    assert project.repro("fetch_glove", "fetch_source_model") == []
    vectors.write_text("film 4 5 6\n")
    (changes,) = json.loads(project.dvc("status", "--json", "fetch_glove"))["fetch_glove"]
    assert changes == {"changed deps": {str(vectors): "modified"}}
    assert project.repro("fetch_glove", "fetch_source_model") == ["fetch_glove"]
    assert vectors_of(read_table(project.folder / "data/glove.parquet")).tolist() == [[4, 5, 6]]
    weights.touch()
    assert project.repro("fetch_source_model") == []
    weights.write_bytes(b"other weights")
    (changes,) = json.loads(project.dvc("status", "--json", "fetch_source_model"))["fetch_source_model"]
    assert changes == {"changed deps": {str(weights): "modified"}}


def test_dvc_ends_with_one_message_at_a_relative_path_that_git_does_not_track(project: Project) -> None:
    before = files(project.folder, *outs(*STAGES))
    own = csv_of(project.folder / "mine.csv")
    done = project.run(sys.executable, "-m", "dvc", "exp", "run", "-S", "dataset=own", "-S", f"own.reviews={own.name}")
    own.unlink()
    assert done.returncode != 0
    assert ran(done.stdout) == ["download_imdb"]
    said = done.stdout + done.stderr
    assert said.count(f"own.reviews: 'mine.csv' found, expected an absolute path: {own}") == 1
    assert "Traceback" not in said
    project.restore()
    assert files(project.folder, *outs(*STAGES)) == before
