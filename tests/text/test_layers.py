import torch

from stages.text.models.layers import drop_features, drop_words, mean_and_max
from stages.text.special import PAD_INDEX, UNK_INDEX


def test_words_become_unknown_as_often_as_asked_and_padding_never() -> None:
    torch.manual_seed(0)
    ids = torch.full((100, 200), 5)
    ids[:, 150:] = PAD_INDEX
    dropped = drop_words(ids, 0.3)
    assert set(dropped[:, :150].unique().tolist()) == {UNK_INDEX, 5}
    assert (dropped[:, 150:] == PAD_INDEX).all()
    assert 0.28 < (dropped[:, :150] == UNK_INDEX).double().mean() < 0.32
    assert (ids[:, :150] == 5).all()


def test_no_words_are_dropped_at_0() -> None:
    ids = torch.arange(9)[None]
    assert drop_words(ids, 0) is ids


def test_features_are_dropped_at_all_steps_of_a_review_alike() -> None:
    torch.manual_seed(0)
    vectors = torch.rand(40, 30, 50) + 1  # (steps, batch, features)
    dropped = drop_features(vectors, 0.4, 0)
    is_zero = (dropped == 0).all(0)
    assert torch.equal(is_zero, (dropped == 0).any(0))
    assert 0.36 < is_zero.double().mean() < 0.44
    assert not is_zero.all(0).any()  # reviews differ
    torch.testing.assert_close(dropped[:, ~is_zero], vectors[:, ~is_zero] / 0.6)  # the mean stays the same


def test_mean_and_maximum_are_over_the_words_alone() -> None:
    states = torch.randn(7, 3, 4)
    lengths = torch.tensor([7, 1, 4])
    found = mean_and_max(states, lengths)
    for review, length in enumerate(lengths.tolist()):
        words = states[:length, review]
        torch.testing.assert_close(found[review], torch.cat([words.mean(0), words.amax(0)]))
