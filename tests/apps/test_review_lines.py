import io

from stages.apps.review_lines import MAX_LINE_BYTES, Review, read_lines
from stages.core.files import InputError


def read(data: bytes) -> list[Review | str]:
    return [str(found) if isinstance(found, InputError) else found for found in read_lines(io.BytesIO(data), "a.txt")]


def test_a_line_is_a_review_whatever_ends_it() -> None:
    assert read("\ufeffgut\r\nsch\u00f6n\n last".encode()) == [
        Review("gut", "a.txt", 1), Review("sch\u00f6n", "a.txt", 2), Review(" last", "a.txt", 3),
    ]  # fmt: skip


def test_nothing_is_no_review() -> None:
    assert read(b"") == []


def test_what_cannot_be_read_is_named_by_its_line_and_the_rest_follows() -> None:
    assert read(b"a\n \nb\xff\nc\n") == [
        Review("a", "a.txt", 1),
        "a.txt, line 2 is empty; expected a review",
        "a.txt, line 3: not UTF-8 at byte 1",
        Review("c", "a.txt", 4),
    ]


def test_a_line_without_end_is_passed_over_piece_by_piece() -> None:
    class Stream(io.BytesIO):
        most = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            self.most = max(self.most, -1 if size is None else size)
            return super().readline(size)

    for rest in (0, 1, MAX_LINE_BYTES - 1, MAX_LINE_BYTES, 3 * MAX_LINE_BYTES):
        stream = Stream(b"a\n" + b"x" * (MAX_LINE_BYTES + rest) + b"\nb")
        first, refused, last = read_lines(stream, "a.txt")
        assert (first, last) == (Review("a", "a.txt", 1), Review("b", "a.txt", 3))
        assert str(refused) == "a.txt, line 2: more than 1,048,576 bytes; expected one review per line"
        assert stream.most == MAX_LINE_BYTES


def test_the_longest_line_that_is_read() -> None:
    longest = b"x" * (MAX_LINE_BYTES - 1)
    assert read(longest + b"\nb") == [Review(longest.decode(), "a.txt", 1), Review("b", "a.txt", 2)]
    assert read(longest) == [Review(longest.decode(), "a.txt", 1)]
