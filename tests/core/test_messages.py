import pytest

from stages.core.messages import some


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["b", "a"], "'b', 'a'"),
        ([3], "3"),
        (list("abcde"), "'a', 'b', 'c', 'd', 'e'"),
        (list(range(1, 2007)), "1, 2, 3, 4, 5 and 2,001 more"),
        ([], ""),
    ],
)
def test_a_message_lists_a_few_values_and_counts_the_rest(values: list[object], text: str) -> None:
    assert some(values) == text
