import hashlib
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from stages.core.files import InputError
from stages.sources.user_data import draw_test_split, user_path

SOURCE = Path("data.csv")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracked").mkdir()
    for name in ("tracked/a.csv", "own.csv", "*.csv"):
        (tmp_path / name).touch()
    for command in (["init", "-q"], ["add", "tracked"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_what_git_tracks_and_an_absolute_path_are_taken_as_they_are(repository: Path) -> None:
    for path in ("tracked/a.csv", "tracked", "./tracked/a.csv", str(repository / "own.csv")):
        assert user_path("own.reviews", path) == Path(path)


@pytest.mark.parametrize("path", ["own.csv", "*.csv", "tracked/b.csv", "../own.csv"])
def test_another_relative_path_is_refused_with_the_reason(repository: Path, path: str) -> None:
    with pytest.raises(InputError) as caught:
        user_path("own.reviews", path)
    message = str(caught.value)
    assert message.startswith(f"own.reviews: {path!r} found, expected an absolute path: {repository}/")
    assert "--temp" in message


@pytest.mark.parametrize("where", ["no repository", "no git"])
def test_without_git_a_relative_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH" if where == "no git" else "GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "own.csv").touch()
    with pytest.raises(InputError, match="expected an absolute path"):
        user_path("own.reviews", "own.csv")


def test_the_draw_takes_the_share_of_each_class_and_leaves_none_without() -> None:
    labels = ["a"] * 10 + ["b"] * 2 + ["c"] * 7
    contents = [str(i).encode() for i in range(19)]
    for fraction, expected in ((0.2, [2, 1, 1]), (0.001, [1, 1, 1]), (0.999, [9, 1, 6])):
        rows = draw_test_split(SOURCE, labels, contents, fraction, 0)
        assert [sum(labels[row] == label for row in rows) for label in "abc"] == expected


def test_the_draw_hangs_on_contents_and_seed_alone() -> None:
    labels = ["a", "b"] * 50
    contents = [str(i).encode() for i in range(100)]
    drawn = {contents[row] for row in draw_test_split(SOURCE, labels, contents, 0.3, 7)}
    back = draw_test_split(SOURCE, labels[::-1], contents[::-1], 0.3, 7)
    assert {contents[::-1][row] for row in back} == drawn
    assert {contents[row] for row in draw_test_split(SOURCE, labels, contents, 0.3, 8)} != drawn


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("copies", [2, 4, 10])
def test_equal_examples_are_never_parted(seed: int, copies: int) -> None:
    same = [i // copies for i in range(400)]
    labels = ["ab"[value % 2] for value in same]
    contents = [f"{value} {i % 3}".encode() for i, value in enumerate(same)]  # equal, though not the same bytes
    drawn = draw_test_split(SOURCE, labels, contents, 0.2, seed, same)
    assert {same[row] for row in drawn}.isdisjoint(same[row] for row in range(400) if row not in drawn)
    assert Counter(labels[row] for row in drawn) == {"a": 40, "b": 40}


def test_groups_of_any_size_leave_each_class_in_both_splits() -> None:
    rng = random.Random(0)
    for seed in range(200):
        same = [rng.randrange(8) for _ in range(40)]
        labels = [rng.choice("ab") if value == 7 else "ab"[value % 2] for value in same]  # 7: under both labels
        drawn = draw_test_split(SOURCE, labels, map(str.encode, map(str, same)), 0.2, seed)
        kept = set(range(40)) - drawn
        assert {same[row] for row in drawn}.isdisjoint(same[row] for row in kept)
        assert {labels[row] for row in drawn} == {labels[row] for row in kept} == {"a", "b"}


def test_without_equal_examples_the_draw_is_what_it_was() -> None:
    contents = [str(i).encode() for i in range(100)]
    ranked = sorted(range(100), key=lambda row: hashlib.sha256(b"3 %b" % contents[row]).digest())
    expected = {row for label in (0, 1) for row in [row for row in ranked if row % 2 == label][:15]}
    assert draw_test_split(SOURCE, ["ab"[i % 2] for i in range(100)], contents, 0.3, 3) == expected


def test_a_class_of_equal_examples_alone_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.csv: class 'a': all its examples are equal"):
        draw_test_split(SOURCE, ["a", "a", "b", "b"], [b"1", b"1", b"3", b"4"], 0.5, 0)
    with pytest.raises(InputError, match=r"data\.csv: class '[abc]': its examples equal those of other classes"):
        draw_test_split(SOURCE, list("abacbc"), [b"1", b"1", b"2", b"2", b"3", b"3"], 0.5, 0)


def test_a_class_of_one_example_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.csv: class 'a' and 1 more: a single example"):
        draw_test_split(SOURCE, ["b", "a", "c", "c"], [b"1", b"2", b"3", b"4"], 0.5, 0)
