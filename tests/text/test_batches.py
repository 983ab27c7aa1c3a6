import pytest
import torch

from stages.text.batches.review_batches import LENGTH_MULTIPLE
from stages.text.batches.reviews import Reviews
from stages.text.special import PAD_INDEX, UNK_INDEX
from tests.text.written import review_batches

CPU = torch.device("cpu")


@pytest.fixture
def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def ragged(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    ids = torch.randint(2, 1000, (int(offsets[-1]),), generator=generator, dtype=torch.int32)
    labels = torch.randint(2, (len(lengths),), generator=generator)
    return Reviews(ids, offsets, labels, ["negative", "positive"], "whitespace", 10_000, "start")


def skewed(count):
    """Reviews whose lengths are spread like IMDb's: most short, a few very long."""
    generator = torch.Generator().manual_seed(1)
    return ragged((torch.randn(count, generator=generator) * 0.8 + 3).exp().ceil().long().tolist())


def order(batches, epoch=0):
    return [batch.rows.tolist() for batch in batches.epoch(epoch)]


@pytest.mark.parametrize("seed", [None, 0, 2**32 - 1])
@pytest.mark.parametrize(("count", "size"), [(1, 4), (3, 4), (4, 4), (5, 4), (130, 1), (131, 2), (205, 2), (64, 64)])
def test_every_review_comes_exactly_once_an_epoch(count, size, seed):
    batches = review_batches(skewed(count), size, CPU, seed=seed)
    for epoch in range(2):
        rows = order(batches, epoch)
        assert len(rows) == len(batches) == -(-count // size)
        assert sorted(row for batch in rows for row in batch) == list(range(count))
        assert sorted(map(len, rows)) == sorted(map(len, torch.arange(count).split(size)))
    assert batches.examples == count


def test_the_order_depends_on_seed_and_epoch_alone():
    reviews = skewed(300)
    torch.manual_seed(1)
    fresh = review_batches(reviews, 4, CPU, seed=5)
    expected = order(fresh, 3)
    torch.manual_seed(2)
    used = review_batches(reviews, 4, CPU, seed=5)
    for epoch in (7, 0, 1, 2):
        order(used, epoch)
    assert order(used, 3) == order(used, 3) == expected


def test_batches_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    order(review_batches(skewed(50), 4, CPU, seed=5))
    assert torch.equal(torch.get_rng_state(), state)


def test_epochs_and_seeds_differ_in_order_and_company():
    reviews = skewed(300)
    plans = [order(review_batches(reviews, 4, CPU, seed=seed), epoch) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    assert len({str(plan) for plan in plans}) == 9
    assert len({str(sorted(map(sorted, plan))) for plan in plans}) == 9


def test_batches_do_not_come_in_the_order_of_length():
    steps = [batch.inputs[0].shape[1] for batch in review_batches(skewed(400), 8, CPU, seed=0).epoch(0)]
    assert len(steps) == 50
    rank = torch.tensor(steps).double().argsort().argsort().double()
    assert abs(torch.corrcoef(torch.stack([rank, torch.arange(50.0).double()]))[0, 1]) < 0.5


def padding_share(lengths, plan):
    places = sum(len(rows) * int(lengths[rows].max()) for rows in plan)
    return 1 - int(lengths.sum()) / places


def test_companions_are_of_like_length():
    reviews = skewed(3000)
    lengths = reviews.offsets.diff()
    at_random = padding_share(lengths, torch.randperm(3000, generator=torch.Generator().manual_seed(0)).split(16))
    batches = list(review_batches(reviews, 16, CPU, seed=0).epoch(0))
    assert at_random > 0.4
    assert padding_share(lengths, [batch.rows for batch in batches]) < 0.1


def test_without_a_seed_reviews_come_by_length_and_rows_lead_back():
    reviews = skewed(77)
    batches = list(review_batches(reviews, 8, CPU, seed=None).epoch(0))
    lengths = torch.cat([batch.inputs[1] for batch in batches])
    rows = torch.cat([batch.rows for batch in batches])
    assert torch.equal(lengths, lengths.sort().values)
    back = rows.argsort()
    assert torch.equal(lengths[back], reviews.offsets.diff())
    assert torch.equal(torch.cat([batch.labels for batch in batches])[back], reviews.labels)
    assert order(review_batches(reviews, 8, CPU, seed=None), 4) == [batch.rows.tolist() for batch in batches]


def expected_row(words, steps, padding):
    return words[:steps] + [padding] * (steps - len(words))


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("pad_to", [None, 1, 20, 500])
@pytest.mark.parametrize("mask_padding", [True, False])
def test_a_batch_holds_its_reviews(device, mask_padding, pad_to, seed):
    reviews = skewed(90)
    padding = PAD_INDEX if mask_padding else UNK_INDEX
    for batch in review_batches(reviews, 8, device, seed=seed, mask_padding=mask_padding, pad_to=pad_to).epoch(0):
        ids, lengths = batch.inputs
        rows = batch.rows.tolist()
        words = [reviews[i].tolist() for i in rows]
        longest = max(map(len, words))
        steps = pad_to or (-(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE if mask_padding else longest)
        assert {ids.dtype, lengths.dtype, batch.labels.dtype, batch.rows.dtype} == {torch.int64}
        assert ids.tolist() == [expected_row(some, steps, padding) for some in words]
        assert lengths.tolist() == [min(len(some), steps) if mask_padding else steps for some in words]
        assert batch.labels.tolist() == reviews.labels[rows].tolist()


def test_masked_batches_have_few_different_lengths():
    batches = review_batches(ragged([1, 2, 3, LENGTH_MULTIPLE + 1]), 2, CPU, seed=None)
    (short, short_lengths), (long, _) = (batch.inputs for batch in batches.epoch(0))
    assert (short.shape, long.shape) == ((2, LENGTH_MULTIPLE), (2, 2 * LENGTH_MULTIPLE))
    assert (short[0, 1:] == PAD_INDEX).all()
    assert short_lengths.tolist() == [1, 2]


def test_the_textbooks_padding_counts_as_words():
    reviews = ragged([2, 4])
    (batch,) = review_batches(reviews, 2, CPU, seed=None, mask_padding=False).epoch(0)
    assert batch.inputs[0].tolist() == [[*reviews[0].tolist(), 0, 0], reviews[1].tolist()]
    assert batch.inputs[1].tolist() == [4, 4]


def test_batches_are_on_the_device(device):
    for batch in review_batches(skewed(9), 4, device, seed=0).epoch(0):
        assert {tensor.device.type for tensor in (*batch.inputs, batch.labels, batch.rows)} == {device.type}
