import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.functional import cross_entropy

from stages.text.batches.reviews import Reviews
from stages.text.models import textcnn
from stages.text.models.textcnn import TextCNN, max_over_time
from stages.text.special import PAD_INDEX, UNK_INDEX
from tests.text.written import review_batches

WORDS, DIM, SIZES = 30, 5, [3, 4, 5]
LENGTHS = [1, 2, 3, 4, 5, 6, 11, 11]


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make(device, dropout=0.0, freeze_vectors=False, sizes=SIZES, **options):
    torch.manual_seed(0)
    vectors = torch.randn(WORDS, DIM)
    vectors[PAD_INDEX] = 0
    model = TextCNN(vectors, 2, sizes, 6, dropout, freeze_vectors, **options).to(device)
    with torch.no_grad():
        model.embedding.weight[2:] += 0.5 * torch.randn(WORDS - 2, DIM).to(device)  # no longer the constant one
    return model


def some_reviews(lengths=LENGTHS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(2, WORDS, (length,), generator=generator).tolist() for length in lengths]


def padded(reviews, device, steps=0, filler=PAD_INDEX):
    steps = max(steps, *map(len, reviews))
    ids = [words + [filler] * (steps - len(words)) for words in reviews]
    return torch.tensor(ids, device=device), torch.tensor([len(words) for words in reviews], device=device)


def predictions(model, reviews, device, size, **padding):
    """Logits (reviews, classes) in the reviews' order, by way of batches of `size`."""
    offsets = torch.tensor([0, *map(len, reviews)]).cumsum(0)
    ids = torch.tensor([word for words in reviews for word in words], dtype=torch.int32)
    labels = torch.zeros(len(reviews), dtype=torch.int64)
    ragged = Reviews(ids, offsets, labels, ["n", "p"], "whitespace", 99, "start")
    batches = list(review_batches(ragged, size, device, seed=None, **padding).epoch(0))
    back = torch.cat([batch.rows for batch in batches]).argsort()
    return torch.cat([model(*batch.inputs) for batch in batches])[back]


def corr1d(X, K):  # noqa: N803, the textbook's names
    w = K.shape[0]
    Y = torch.zeros(X.shape[0] - w + 1)  # noqa: N806
    for i in range(Y.shape[0]):
        Y[i] = (X[i : i + w] * K).sum()
    return Y


def corr1d_multi_in(X, K):  # noqa: N803
    return torch.stack([corr1d(x, k) for x, k in zip(X, K, strict=True)]).sum(dim=0)


@pytest.mark.parametrize(
    ("series", "kernel", "expected"),
    [
        ([range(7)], [[1, 2]], [2, 5, 8, 11, 14, 17]),
        ([range(7), range(1, 8), range(2, 9)], [[1, 2], [3, 4], [-1, -3]], [2, 8, 14, 20, 26, 32]),
    ],
)
def test_the_textbooks_examples(device, series, kernel, expected):
    series = torch.tensor([list(channel) for channel in series], dtype=torch.float32)  # (features, steps)
    kernel = torch.tensor(kernel, dtype=torch.float32)  # (features, size)
    assert corr1d_multi_in(series, kernel).tolist() == expected
    words, weight = series.T.to(device), kernel[None].to(device)
    ids = torch.arange(7, device=device)[None]
    windows, zero = ids.unfold(1, 2, 1)[0], torch.zeros(1, device=device)
    assert max_over_time(words, windows, torch.full((6,), 2, device=device), weight, zero)[:, 0].tolist() == expected
    for length in range(2, 8):
        lengths, bias = torch.tensor([length], device=device), torch.tensor([0.5], device=device)
        assert max_over_time(words, ids, lengths, weight, bias).item() == max(expected[: length - 1]) + 0.5


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_every_score_is_that_of_the_definition(device, size):
    torch.manual_seed(size)
    words, weight = torch.randn(12, 3), torch.randn(4, 3, size)  # (distinct, features), (channels, features, size)
    windows = torch.randint(12, (5, size))
    lengths = torch.full((5,), size)
    found = max_over_time(*(tensor.to(device) for tensor in (words, windows, lengths, weight, torch.zeros(4))))
    expected = torch.stack([torch.cat([corr1d_multi_in(words[row].T, kernel) for kernel in weight]) for row in windows])
    torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.parametrize("grad", [True, False])
def test_the_maximum_is_over_the_windows_inside_a_review(device, grad):
    torch.manual_seed(0)
    words, weight, bias = torch.randn(12, 3), torch.randn(4, 3, 3), torch.randn(4)
    ids, lengths = torch.randint(12, (9, 9)), torch.arange(1, 10)
    expected = []
    for row, length in zip(ids, lengths.clamp(min=3), strict=True):
        scores = torch.stack([corr1d_multi_in(words[row[:length]].T, kernel) for kernel in weight])
        expected.append(scores.amax(1) + bias)
    with torch.set_grad_enabled(grad):
        found = max_over_time(*(tensor.to(device) for tensor in (words, ids, lengths, weight, bias)))
    torch.testing.assert_close(found.cpu(), torch.stack(expected))


class Dense(nn.Module):
    """TextCNN as the textbook writes it, with padding masked."""

    def __init__(self, model):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(model.embedding.weight.detach().clone(), freeze=False)
        self.constant_embedding = nn.Embedding.from_pretrained(model.constant_embedding.weight.detach().clone())
        self.convs = nn.ModuleList(nn.Conv1d(2 * DIM, conv.out_channels, conv.kernel_size) for conv in model.convs)
        self.decoder = nn.Linear(model.decoder.in_features, model.decoder.out_features)
        self.load_state_dict(model.state_dict())

    def forward(self, ids, lengths):
        widest = max(conv.kernel_size[0] for conv in self.convs)
        ids = F.pad(ids, (0, max(0, widest - ids.shape[1])), value=PAD_INDEX)
        embeddings = torch.cat((self.embedding(ids), self.constant_embedding(ids)), dim=2).permute(0, 2, 1)
        encoding = []
        for conv in self.convs:
            out = F.conv1d(embeddings, conv.weight, conv.bias)  # (batch, channels, windows)
            last = (lengths - conv.kernel_size[0]).clamp(min=0)  # (batch,)
            outside = torch.arange(out.shape[2], device=ids.device) > last[:, None]
            encoding.append(F.relu(out.masked_fill(outside[:, None], -torch.inf)).amax(2))
        return self.decoder(torch.cat(encoding, 1))


def test_a_gpus_way_with_words_gives_the_same(device, monkeypatch):
    found = []
    for way in (textcnn._distinct, textcnn._each):
        monkeypatch.setattr(textcnn, "_distinct", way)
        monkeypatch.setattr(textcnn, "_each", way)
        model = make(device)
        ids, lengths = padded(some_reviews(), device)
        logits = model(ids, lengths)
        logits.square().sum().backward()
        found.append([logits.detach(), *(p.grad for p in model.parameters() if p.requires_grad)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("sizes", [SIZES, [1], [2, 8], [12]])
@pytest.mark.parametrize("lengths", [LENGTHS, [11] * 4, [1], [2, 1], [40, 3]])
@pytest.mark.parametrize("rows", [1, 1024])  # of the table: fewer than maxima, where the batch has eight reviews; more
def test_logits_and_gradients_are_those_of_a_dense_convolution(device, lengths, sizes, rows, monkeypatch):
    monkeypatch.setattr(textcnn, "TABLE_MULTIPLE", rows)
    model = make(device, sizes=sizes)
    dense = Dense(model).to(device)
    ids, real = padded(some_reviews(lengths), device)
    labels = torch.arange(len(ids), device=device) % 2
    logits, expected = model(ids, real), dense(ids, real)
    torch.testing.assert_close(logits, expected)
    cross_entropy(logits, labels).backward()
    cross_entropy(expected, labels).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    plain = {name: p.grad for name, p in dense.named_parameters() if p.requires_grad}
    plain["embedding.weight"][PAD_INDEX] = 0  # <pad> is not trained
    assert gradients.keys() == plain.keys()
    assert "embedding.weight" in gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain[name], msg=lambda text, name=name: f"{name}: {text}")


def test_repeated_words_give_the_dense_gradients_too(device):
    model = make(device)
    dense = Dense(model).to(device)
    ids, lengths = padded([[2] * 9, [2, 3] * 6, [3, 2, 3]], device)
    for some in (model, dense):
        some(ids, lengths).square().sum().backward()
    torch.testing.assert_close(model.embedding.weight.grad[2:], dense.embedding.weight.grad[2:])


@pytest.mark.parametrize("words", [[7], [7, 8], [7, 8, 9, 10]])
def test_a_review_shorter_than_the_kernels_scores_its_words_alone(device, words):
    model = make(device)
    vectors = torch.cat([model.embedding.weight, model.constant_embedding.weight], 1)[words]  # (words, 2 * dim)
    encoding = []
    for conv in model.convs:
        size = conv.kernel_size[0]
        starts = range(max(0, len(words) - size) + 1)
        windows = [
            sum(conv.weight[:, :, k] @ vectors[start + k] for k in range(min(size, len(words)))) for start in starts
        ]
        encoding.append(torch.stack(windows).amax(0) + conv.bias)
    expected = model.decoder(F.relu(torch.cat(encoding)))
    torch.testing.assert_close(model(*padded([words], device))[0], expected)
    torch.testing.assert_close(model(*padded([words, *some_reviews()], device))[0], expected)


@pytest.mark.parametrize("sizes", [SIZES, [8]])
def test_a_prediction_does_not_depend_on_company_or_padding(device, sizes):
    model = make(device, sizes=sizes)
    reviews = some_reviews()
    alone = torch.cat([model(*padded([words], device)) for words in reviews])
    for size in (1, 3, 8):
        for padding in ({}, {"pad_to": 11}, {"pad_to": 30}):
            torch.testing.assert_close(predictions(model, reviews, device, size, **padding), alone)


def test_no_window_reaches_into_the_padding(device):
    model = make(device)
    with torch.no_grad():
        model.embedding.weight[17] = 1e3  # would win every maximum, up or down
        model.constant_embedding.weight[17] = -1e3
    reviews = [[word for word in words if word != 17] for words in some_reviews([6, 20, 9])]
    assert min(map(len, reviews)) >= max(SIZES)
    expected = model(*padded(reviews, device, 25))
    found = model(*padded(reviews, device, 25, filler=17))
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert not model.embedding.weight.grad[17].any()


def test_unmasked_padding_is_read_as_words_of_index_0(device):
    model = make(device)
    reviews = some_reviews()
    found = predictions(model, reviews, device, 4, mask_padding=False, pad_to=14)
    ids, _ = padded(reviews, device, 14, UNK_INDEX)
    torch.testing.assert_close(found, Dense(model).to(device)(ids, torch.full((len(ids),), 14, device=device)))


def test_unmasked_padding_makes_the_prediction_depend_on_it(device):
    model = make(device)
    reviews = some_reviews([6, 7, 8, 9])
    masked = predictions(model, reviews, device, 4)
    by_end, beyond = (predictions(model, reviews, device, 4, mask_padding=False, pad_to=steps) for steps in (10, 14))
    for one, other in ((masked, by_end), (masked, beyond), (by_end, beyond)):
        assert ((one - other).abs() > 1e-3).any()


def test_evaluation_is_training_without_dropout(device):
    model = make(device)
    inputs = padded(some_reviews(), device)
    training = model.train()(*inputs)
    torch.testing.assert_close(model.eval()(*inputs), training)
    with torch.no_grad():
        torch.testing.assert_close(model(*inputs), training)


def test_dropout_acts_in_training_only(device):
    model, plain = make(device, dropout=0.5), make(device)
    inputs = padded(some_reviews(), device)
    torch.testing.assert_close(model.eval()(*inputs), plain(*inputs))
    model.train()
    assert not torch.equal(model(*inputs), model(*inputs))


@pytest.mark.parametrize("options", [{"word_dropout": 0.5}, {"embedding_dropout": 0.5}], ids=str)
@pytest.mark.parametrize("pooling", ["max", "mean_max"])
def test_dropout_of_words_and_vectors_acts_in_training_only(device, options, pooling):
    model, plain = make(device, pooling=pooling, **options), make(device, pooling=pooling)
    inputs = padded(some_reviews(), device)
    assert torch.equal(model.eval()(*inputs), plain.eval()(*inputs))
    model.train()
    assert not torch.equal(model(*inputs), model(*inputs))
    assert torch.equal(plain.train()(*inputs), plain(*inputs))


@pytest.mark.parametrize("lengths", [[1, 2, 13], [5], [9, 9, 4]])
def test_the_dense_way_gives_the_same_maxima(device, lengths):
    model = make(device)
    inputs = padded(some_reviews(lengths), device)
    torch.testing.assert_close(model.dense(*inputs), model(*inputs))


@pytest.mark.parametrize("steps", [0, 40])
def test_the_mean_is_over_the_windows_inside_a_review(device, steps):
    model = make(device, pooling="mean_max")
    reviews = some_reviews()
    found = model(*padded(reviews, device, steps))
    for words, logits in zip(reviews, found, strict=True):
        ids = torch.tensor(words + [PAD_INDEX] * (max(SIZES) - len(words)), device=device)
        vectors = torch.cat([model.embedding(ids), model.constant_embedding(ids)], 1).T  # (2 * dim, words)
        scores = [conv(vectors).relu()[:, : max(1, len(words) - conv.kernel_size[0] + 1)] for conv in model.convs]
        pools = [each.amax(1) for each in scores] + [each.mean(1) for each in scores]
        torch.testing.assert_close(logits, model.decoder(torch.cat(pools)))


def train_some(model, device):
    reviews = [*some_reviews(), [2, PAD_INDEX, 3]]  # the last has the literal word <pad>
    ids, lengths = padded(reviews, device, 13)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(5):
        optimizer.zero_grad()
        (1e4 * cross_entropy(model(ids, lengths), torch.arange(len(ids), device=device) % 2)).backward()
        optimizer.step()


def bits(tensor):
    return tensor.detach().cpu().clone().view(torch.int32)


@pytest.mark.parametrize("freeze_vectors", [True, False])
def test_the_constant_embedding_keeps_every_bit_and_the_other_if_frozen(device, freeze_vectors):
    model = make(device, dropout=0.5, freeze_vectors=freeze_vectors)
    before = {name: bits(value) for name, value in model.state_dict().items()}
    train_some(model, device)
    kept = {name for name, value in model.state_dict().items() if torch.equal(bits(value), before[name])}
    assert kept == {"constant_embedding.weight"} | ({"embedding.weight"} if freeze_vectors else set())
    assert not model.embedding.weight[PAD_INDEX].any()
    assert not model.constant_embedding.weight[PAD_INDEX].any()


def test_the_vectors_are_copied(device):
    vectors = torch.randn(WORDS, DIM)
    before = vectors.clone()
    model = TextCNN(vectors, 2, SIZES, 6, 0.5, freeze_vectors=False)
    train_some(model, torch.device("cpu"))
    assert torch.equal(vectors, before)
    assert torch.equal(model.constant_embedding.weight, before)


def test_batches_of_other_words_use_the_same_shapes(device):
    model = make(device)
    shapes = []
    model.embedding.register_forward_hook(lambda module, given, words: shapes.append(words.shape))
    for lengths in ([3, 9], [40, 2, 17]):
        predictions(model, some_reviews(lengths), device, 8)
    assert len(shapes) == 2
    assert len(set(shapes)) == 1 or device.type != "cpu"  # a GPU takes each word as often as it comes
