import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence

from stages.text.batches.reviews import Reviews
from stages.text.models.birnn import BiRNN
from stages.text.special import PAD_INDEX, UNK_INDEX
from stages.training.averaging import WeightAverage
from tests.text.written import review_batches

WORDS, DIM, HIDDENS = 30, 5, 4
LENGTHS = [1, 2, 7, 3, 7, 5]


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make(device, cell="lstm", num_layers=2, freeze_vectors=True, **options):
    torch.manual_seed(0)
    vectors = torch.randn(WORDS, DIM)
    vectors[PAD_INDEX] = 0
    return BiRNN(vectors, 2, cell, HIDDENS, num_layers, freeze_vectors, **options).to(device)


def some_reviews(lengths=LENGTHS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(2, WORDS, (length,), generator=generator).tolist() for length in lengths]


def padded(reviews, device, steps=0, filler=PAD_INDEX):
    steps = max(steps, *map(len, reviews))
    ids = [words + [filler] * (steps - len(words)) for words in reviews]
    return torch.tensor(ids, device=device), torch.tensor([len(words) for words in reviews], device=device)


def ragged(reviews):
    offsets = torch.tensor([0, *map(len, reviews)]).cumsum(0)
    labels = torch.zeros(len(reviews), dtype=torch.int64)
    return Reviews(
        torch.tensor([word for words in reviews for word in words], dtype=torch.int32),
        offsets,
        labels,
        ["n", "p"],
        "whitespace",
        99,
        "start",
    )


def predictions(model, reviews, device, size, **padding):
    """Logits (reviews, classes) in the reviews' order, by way of batches of `size`."""
    batches = list(review_batches(ragged(reviews), size, device, seed=None, **padding).epoch(0))
    back = torch.cat([batch.rows for batch in batches]).argsort()
    return torch.cat([model(*batch.inputs) for batch in batches])[back]


def rnn_step(layer, x, h, _):
    h = x @ layer.weight_ih_l0.T + h @ layer.weight_hh_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0
    return h.tanh(), None


def lstm_step(layer, x, h, c):
    w_xi, w_xf, w_xc, w_xo = (w.T for w in layer.weight_ih_l0.chunk(4))
    w_hi, w_hf, w_hc, w_ho = (w.T for w in layer.weight_hh_l0.chunk(4))
    b_i, b_f, b_c, b_o = (layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4)
    input_gate = (x @ w_xi + h @ w_hi + b_i).sigmoid()
    forget_gate = (x @ w_xf + h @ w_hf + b_f).sigmoid()
    output_gate = (x @ w_xo + h @ w_ho + b_o).sigmoid()
    candidate = (x @ w_xc + h @ w_hc + b_c).tanh()
    c = forget_gate * c + input_gate * candidate
    return output_gate * c.tanh(), c


def gru_step(layer, x, h, _):
    w_xr, w_xz, w_xn = (w.T for w in layer.weight_ih_l0.chunk(3))
    w_hr, w_hz, w_hn = (w.T for w in layer.weight_hh_l0.chunk(3))
    b_xr, b_xz, b_xn = layer.bias_ih_l0.chunk(3)
    b_hr, b_hz, b_hn = layer.bias_hh_l0.chunk(3)
    reset = (x @ w_xr + h @ w_hr + b_xr + b_hr).sigmoid()
    update = (x @ w_xz + h @ w_hz + b_xz + b_hz).sigmoid()
    # torch's candidate: the reset gate after the product with W_hn; the textbook has it before
    candidate = (x @ w_xn + b_xn + reset * (h @ w_hn + b_hn)).tanh()
    return update * h + (1 - update) * candidate, None


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}


def by_the_equations(model, cell, words):
    """One review's logits, step by step."""
    inputs = [model.embedding.weight[word] for word in words]
    for forward_layer, backward_layer in zip(model.forwards, model.backwards, strict=True):
        hidden = [{}, {}]
        for direction, layer in enumerate((forward_layer, backward_layer)):
            h = c = torch.zeros(HIDDENS, device=inputs[0].device)
            steps = range(len(words)) if direction == 0 else reversed(range(len(words)))
            for t in steps:
                h, c = STEPS[cell](layer, inputs[t], h, c)
                hidden[direction][t] = h
        inputs = [torch.cat([hidden[0][t], hidden[1][t]]) for t in range(len(words))]
    return torch.cat([inputs[0], inputs[-1]]) @ model.decoder.weight.T + model.decoder.bias


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", STEPS)
def test_logits_follow_from_the_textbooks_equations(device, cell, num_layers):
    model = make(device, cell, num_layers)
    reviews = some_reviews()
    expected = torch.stack([by_the_equations(model, cell, words) for words in reviews])
    torch.testing.assert_close(model(*padded(reviews, device)), expected)


def torchs_own(model, device):
    """The textbook's encoder with the weights of `model`."""
    encoder = nn.LSTM(DIM, HIDDENS, num_layers=len(model.forwards), bidirectional=True).to(device)
    copied = {}
    for i, (onward, back) in enumerate(zip(model.forwards, model.backwards, strict=True)):
        for layer, suffix in ((onward, ""), (back, "_reverse")):
            copied |= {name.replace("l0", f"l{i}{suffix}"): value for name, value in layer.state_dict().items()}
    encoder.load_state_dict(copied)
    return encoder


def assert_gradients_match(model, encoder):
    for name, parameter in encoder.named_parameters():
        layers = model.backwards if name.endswith("_reverse") else model.forwards
        stem, layer = name.removesuffix("_reverse").rsplit("_l", 1)
        torch.testing.assert_close(getattr(layers[int(layer)], f"{stem}_l0").grad, parameter.grad)


def test_reviews_of_equal_length_give_torchs_bidirectional_lstm(device):
    model = make(device)
    encoder = torchs_own(model, device)
    ids, lengths = padded(some_reviews([6] * 5), device)
    outputs, _ = encoder(model.embedding(ids.T))
    expected = model.decoder(torch.cat([outputs[0], outputs[-1]], -1))
    logits = model(ids, lengths)
    torch.testing.assert_close(logits, expected)
    labels = torch.tensor([0, 1, 1, 0, 1], device=device)
    cross_entropy(logits, labels).backward()
    cross_entropy(expected, labels).backward()
    assert_gradients_match(model, encoder)


def test_gradients_of_unequal_lengths_are_those_of_a_packed_sequence(device):
    model = make(device)
    encoder = torchs_own(model, device)
    ids, lengths = padded(some_reviews(), device)
    packed = pack_padded_sequence(model.embedding(ids.T), lengths.cpu(), enforce_sorted=False)
    outputs, _ = nn.utils.rnn.pad_packed_sequence(encoder(packed)[0])
    rows = torch.arange(len(ids), device=device)
    expected = model.decoder(torch.cat([outputs[0], outputs[lengths - 1, rows]], 1))
    logits = model(ids, lengths)
    torch.testing.assert_close(logits, expected)
    (logits.square().sum()).backward()
    (expected.square().sum()).backward()
    assert_gradients_match(model, encoder)


@pytest.mark.parametrize("cell", STEPS)
def test_gradients_are_finite_and_reach_every_weight(device, cell):
    model = make(device, cell, freeze_vectors=False)
    ids, lengths = padded(some_reviews([300, 1, 40]), device)
    cross_entropy(model(ids, lengths), torch.tensor([0, 1, 0], device=device)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("cell", STEPS)
def test_a_prediction_does_not_depend_on_company_or_padding(device, cell):
    model = make(device, cell)
    reviews = some_reviews()
    alone = torch.cat([model(*padded([words], device)) for words in reviews])
    for size in (1, 2, 6):
        for pad_to in (None, 7, 25):
            torch.testing.assert_close(predictions(model, reviews, device, size, pad_to=pad_to), alone)


def test_what_stands_in_the_padding_is_not_read(device):
    model = make(device, freeze_vectors=False)
    reviews = some_reviews()
    expected = model(*padded(reviews, device, 12))
    torch.testing.assert_close(model(*padded(reviews, device, 12, filler=17)), expected, rtol=0, atol=0)
    model(*padded([[2, 3], [4] * 9], device, filler=17)).sum().backward()
    assert not model.embedding.weight.grad[17].any()


def test_unmasked_padding_is_read_as_words_of_index_0(device):
    model = make(device)
    reviews = some_reviews()
    found = predictions(model, reviews, device, 4, mask_padding=False, pad_to=12)
    zeros = torch.cat([model(*padded([words + [UNK_INDEX] * (12 - len(words))], device)) for words in reviews])
    torch.testing.assert_close(found, zeros)
    encoder = torchs_own(model, device)
    outputs, _ = encoder(model.embedding(padded(reviews, device, 12, UNK_INDEX)[0].T))
    torch.testing.assert_close(found, model.decoder(torch.cat([outputs[0], outputs[-1]], -1)))


def test_unmasked_padding_makes_the_prediction_depend_on_it(device):
    model = make(device)
    reviews = some_reviews()
    masked = predictions(model, reviews, device, 4)
    short, long = (predictions(model, reviews, device, 4, mask_padding=False, pad_to=steps) for steps in (8, 25))
    for one, other in ((masked, short), (short, long)):
        assert ((one - other).abs().amax(1) > 1e-3).all()


def test_mean_and_maximum_are_over_the_states_of_every_word(device):
    model, reviews = make(device, pooling="mean_max"), some_reviews()
    for words, found in zip(reviews, predictions(model, reviews, device, 4), strict=True):
        length = torch.tensor([len(words)])
        ahead, behind = [], []
        states = model.embedding(torch.tensor([words], device=device)).transpose(0, 1)
        for forward_layer, backward_layer in zip(model.forwards, model.backwards, strict=True):
            ahead, behind = forward_layer(states)[0], backward_layer(states.flip(0))[0].flip(0)
            states = torch.cat([ahead, behind], 2)
        pools = [
            pool for side in (ahead, behind) for pool in (side[: length[0], 0].mean(0), side[: length[0], 0].amax(0))
        ]
        torch.testing.assert_close(found, model.decoder(torch.cat(pools)))


OPTIONS = [{"word_dropout": 0.5}, {"embedding_dropout": 0.5}, {"dropout": 0.5}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("pooling", ["ends", "mean_max"])
def test_dropout_of_each_kind_acts_in_training_only(device, options, pooling):
    model, plain = make(device, pooling=pooling, **options), make(device, pooling=pooling)
    inputs = padded(some_reviews(), device)
    assert torch.equal(model.eval()(*inputs), plain.eval()(*inputs))
    model.train()
    assert not torch.equal(model(*inputs), model(*inputs))
    assert torch.equal(plain.train()(*inputs), plain(*inputs))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_dropout_is_between_layers_and_before_the_output(device, monkeypatch, num_layers):
    shapes = []
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda states, p: shapes.append((*states.shape, p)) or states)
    ids, lengths = padded(some_reviews(), device)
    make(device, num_layers=num_layers, dropout=0.3)(ids, lengths)
    assert shapes == [(7, 6, 2 * HIDDENS, 0.3)] * (num_layers - 1) + [(6, 4 * HIDDENS, 0.3)]


def train_some(model, device):
    reviews = [*some_reviews(), [2, PAD_INDEX, 3]]  # the last has the literal word <pad>
    ids, lengths = padded(reviews, device, 10)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(5):
        optimizer.zero_grad()
        (1e4 * cross_entropy(model(ids, lengths), torch.arange(len(ids), device=device) % 2)).backward()
        optimizer.step()
    return ids


def bits(tensor):
    return tensor.detach().cpu().clone().view(torch.int32)


def test_frozen_vectors_keep_every_bit(device):
    model = make(device)
    before = {name: bits(value) for name, value in model.state_dict().items()}
    train_some(model, device)
    after = {name: bits(value) for name, value in model.state_dict().items()}
    assert torch.equal(after.pop("embedding.weight"), before["embedding.weight"])
    for name in after:
        assert not torch.equal(after[name], before[name]), name


def test_trained_vectors_change_for_the_words_that_were_read_and_pad_stays_zero(device):
    model = make(device, freeze_vectors=False)
    before = bits(model.embedding.weight)
    ids = train_some(model, device)
    changed = (bits(model.embedding.weight) != before).any(1)
    read = sorted(set(ids.flatten().tolist()) - {PAD_INDEX})
    assert changed.nonzero().flatten().tolist() == read
    assert not model.embedding.weight[PAD_INDEX].any()


def test_the_vectors_are_copied():
    vectors = torch.randn(WORDS, DIM)
    before = vectors.clone()
    train_some(BiRNN(vectors, 2, "lstm", HIDDENS, 1, freeze_vectors=False), torch.device("cpu"))
    assert torch.equal(vectors, before)


def test_the_mean_over_the_steps_lies_in_one_piece_as_cudnn_wants_it(monkeypatch):
    model, flattened = make(torch.device("cpu")), []
    monkeypatch.setattr(nn.LSTM, "flatten_parameters", lambda part: flattened.append(part))
    mean = WeightAverage(model).model
    assert [id(part) for part in flattened] == [id(part) for part in [*mean.forwards, *mean.backwards]]
