from pathlib import Path

import numpy as np
import pytest
from matplotlib import font_manager, get_data_path
from PIL import Image

from stages.vision.sheets import GAP, LINE_HEIGHT, TILE, SheetRow, _font, _letters, write_sheet


def square(colour: str, size: tuple[int, int] = (50, 50)) -> Image.Image:
    return Image.new("RGB", size, colour)


def area(path: Path, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(Image.open(path)) == colour).all(2).sum())


def letters(path: Path) -> int:
    """How many pixels are dark."""
    return int((np.asarray(Image.open(path)) < 100).all(2).sum())


def test_every_image_fills_a_tile(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    rows = [
        SheetRow("first", [square("red"), square("lime")], ["a", "b"]),
        SheetRow("second", [square("blue")], ["c\nd"]),
    ]
    write_sheet(path, rows)
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert area(path, colour) == TILE * TILE
    assert letters(path) > 20


def test_an_image_keeps_its_proportions(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", [SheetRow("", [square("red", (200, 100))], [""])])
    assert area(tmp_path / "sheet.png", (255, 0, 0)) == pytest.approx(TILE * TILE / 2, rel=0.02)


def test_more_rows_make_a_longer_sheet(tmp_path: Path) -> None:
    heights = []
    for count in (1, 2, 3):
        write_sheet(tmp_path / "sheet.png", [SheetRow("row", [square("red")], ["x"])] * count)
        heights.append(Image.open(tmp_path / "sheet.png").height)
    assert heights[2] - heights[1] == heights[1] - heights[0] > TILE


def test_a_row_without_images_is_its_heading(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", [SheetRow("no mistakes", [], [])])
    assert letters(tmp_path / "sheet.png") > 20


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_sheet(tmp_path / name, [SheetRow("row", [square("red")], ["x"])])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_what_is_too_long_is_shortened_before_its_end(tmp_path: Path) -> None:
    name = "a class of a very long name" * 9
    sheets = []
    for last in ("0.91", "0.14"):
        rows = [SheetRow(name, [square("white"), square("white")], [f"{name} {last}\nis {name}", ""])]
        write_sheet(tmp_path / "sheet.png", rows)
        sheets.append(np.asarray(Image.open(tmp_path / "sheet.png").convert("L")))
    left, top = GAP + TILE, GAP + LINE_HEIGHT + GAP // 2 + TILE
    assert (sheets[0][top:, left:] == 255).all()  # right of the first tile and below it
    assert (sheets[0][:top, -GAP:] == 255).all()
    assert (sheets[0][top:, :left] < 128).any()
    assert (sheets[0] != sheets[1]).any()  # the probability is still there


@pytest.mark.parametrize("pair", ["éè", "ŵŷ", "жщ", "λψ"])
def test_letters_beyond_english_are_drawn(tmp_path: Path, pair: str) -> None:
    sheets = []
    for letter in pair:
        write_sheet(tmp_path / "sheet.png", [SheetRow("", [square("red")], [letter])])
        sheets.append((tmp_path / "sheet.png").read_bytes())
    assert sheets[0] != sheets[1]  # two boxes would be the same


def test_a_letter_that_the_font_lacks_is_drawn_by_one_of_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = (Path(get_data_path(), f"fonts/ttf/{name}.ttf") for name in ("DejaVuSans", "STIXGeneral"))
    broken = tmp_path / "a broken font.ttf"
    broken.write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(other), str(broken)])
    letter = chr(min(_letters(str(other)) - _letters(str(own))))
    assert _font(f"a{letter}").path == str(other)
    assert _font("a").path == str(own)
    assert _font(f"{letter}\N{HANGUL SYLLABLE HAN}\N{CJK UNIFIED IDEOGRAPH-70ED}").path == str(own)  # boxes, if any
