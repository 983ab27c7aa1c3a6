import argparse
import importlib
import json
import os
import pickle
import re
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from stages.core.files import InputError
from stages.core.tensors import read_tensors
from stages.vision.networks import build, from_source, outline
from stages.vision.reading.weights import read_weights
from tests.sources.hostile import HOSTILE

ARCH = "shufflenet_v2_x0_5"  # small, with batch norm
EXPECTED = r"expected a state dict, as torch\.save\(model\.state_dict\(\), file\) or safetensors write it"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return build(ARCH, 12).state_dict()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "source.pth"


@pytest.fixture
def saved(file):
    def save(value):
        torch.save(value, file)
        return file

    return save


def same(found, expected):
    return list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


# What is read


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        dict,
        lambda state: {"state_dict": state},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}, "epoch": 90},
        lambda state: {"model_state_dict": state, "loss": 0.5},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
        lambda state: {name: torch.nn.Parameter(t) if t.is_floating_point() else t for name, t in state.items()},
    ],
    ids=[
        "plain",
        "dict",
        "state_dict",
        "model",
        "model_state_dict",
        "DataParallel",
        "both",
        "compiled",
        "parameters",
    ],
)
def test_a_state_dict_is_read_in_every_common_wrapping(state, saved, wrap):
    weights, outputs = read_weights(saved(wrap(state)), ARCH)
    assert same(weights, state)
    assert outputs == 12
    assert not any(tensor.requires_grad for tensor in weights.values())


def test_safetensors_are_read_whatever_the_files_name(state, file):
    save_file(state, file, {"format": "pt"})
    weights, outputs = read_weights(file, ARCH)
    assert outputs == 12
    assert same({name: weights[name] for name in state}, state)


def test_a_file_from_before_the_zip_format_is_read(state, file):
    torch.save(state, file, _use_new_zipfile_serialization=False)
    assert same(read_weights(file, ARCH)[0], state)


def test_a_file_from_before_batch_norm_had_counters_is_read(state, saved):
    old = OrderedDict((name, tensor) for name, tensor in state.items() if "num_batches_tracked" not in name)
    assert len(old) < len(state)
    weights, _ = read_weights(saved(old), ARCH)
    assert same(weights, old)
    new = from_source(ARCH, weights, 2, saved(old)).state_dict()
    assert list(new) == list(state)


@pytest.mark.parametrize(
    ("arch", "pattern", "old", "missing"),
    [
        ("densenet121", r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", "features.norm5.bias"),
        ("vit_b_32", r"(mlp\.)([03])\.", lambda name: f"{name[1]}linear_{1 + int(name[2]) // 3}.", "encoder.ln.bias"),
    ],
)
def test_names_of_torchvisions_older_files_are_taken_for_todays(saved, arch, pattern, old, missing):
    shapes = {name: tensor.shape for name, tensor in outline(arch, 3).state_dict().items() if "num_" not in name}
    renamed = {re.sub(pattern, old, name): torch.zeros(1).expand(shape) for name, shape in shapes.items()}
    assert len(renamed.keys() - shapes) >= 48
    del renamed[missing]  # so that what does not fit is told
    size = tuple(shapes[missing])
    message = (
        f"not the weights of pictures.arch, {arch}\n  {missing}: nothing found, expected floats {size}\nthe file has"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        read_weights(saved(renamed), arch)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_become_fp32_and_counters_stay_whole_numbers(state, saved, dtype):
    other = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    weights, _ = read_weights(saved(other), ARCH)
    assert same(weights, {name: t.float() if t.is_floating_point() else t for name, t in other.items()})
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32, torch.int64}


def test_tensors_that_share_memory_are_parted(state, saved, tmp_path):
    tied = {**state, "conv1.1.running_var": state["conv1.1.weight"]}
    weights, _ = read_weights(saved(tied), ARCH)
    save_file(weights, tmp_path / "parted.safetensors")
    assert same(weights, tied)


# What is refused


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("dump", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))])
def test_a_hostile_pickle_executes_nothing(state, file, tmp_path, dump):
    trap = tmp_path / "executed"
    dump({**state, "fc.bias": Hostile(trap)}, file)
    with pytest.raises(InputError, match=rf"source\.pth: .*; {EXPECTED}"):
        read_weights(file, ARCH)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Hostile(trap)))
    assert trap.exists()  # it would have


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (lambda: build(ARCH, 2), r"torchvision\.models\.shufflenetv2\.ShuffleNetV2"),
        (lambda: {"model": {}, "args": argparse.Namespace(lr=1)}, r"argparse\.Namespace"),
    ],
)
def test_what_holds_more_than_tensors_is_refused_by_name(saved, value, what):
    with pytest.raises(InputError, match=rf"source\.pth: it holds {what}; {EXPECTED}$"):
        read_weights(saved(value()), ARCH)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.zeros(2)], "it holds a list;"),
        (torch.zeros(2), "it holds a Tensor;"),
        ({"epoch": 3, "net": {}}, "'epoch' in it is a int, not a tensor;"),
        ({0: torch.zeros(2)}, "0 in it is a Tensor, not a tensor;"),
        ({"fc.bias": torch.zeros(3).to_sparse()}, "fc.bias in it is no ordinary tensor;"),
        ({"fc.bias": torch.zeros(3, device="meta")}, "fc.bias in it is no ordinary tensor;"),
    ],
)
def test_what_is_no_state_dict_is_refused(saved, value, message):
    with pytest.raises(InputError, match=rf"source\.pth: {message} {EXPECTED}$"):
        read_weights(saved(value), ARCH)


@pytest.mark.parametrize("content", [b"", b"<html>404 Not Found</html>", b"\x80\x02garbage", b"12345678{no json"])
def test_what_is_no_file_of_weights_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"source\.pth: .+; {EXPECTED}$"):
        read_weights(file, ARCH)


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_safetensors_are_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"source\.pth: .+; {EXPECTED}$"):
        read_weights(file, ARCH)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("write", [torch.save, save_file])
def test_a_truncated_file_is_refused(state, file, write, share):
    write(state, file)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=rf"source\.pth: .+; {EXPECTED}$"):
        read_weights(file, ARCH)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"missing\.pth: .*No such file"):
        read_weights(tmp_path / "missing.pth", ARCH)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["fc.bias", "conv5.1.running_var"])
def test_numbers_that_are_not_finite_are_refused_by_name(state, saved, name, bad):
    tensor = state[name].clone()
    tensor[-1] = bad
    with pytest.raises(InputError, match=rf"source\.pth: {re.escape(name)}: not all of its numbers are finite"):
        read_weights(saved({**state, name: tensor}), ARCH)


def test_numbers_beyond_fp32_are_refused(state, saved):
    large = torch.full_like(state["fc.bias"], 1e300, dtype=torch.float64)
    with pytest.raises(InputError, match=r"fc\.bias: not all of its numbers are finite in fp32"):
        read_weights(saved({**state, "fc.bias": large}), ARCH)


def test_weights_of_another_architecture_are_refused_with_the_layer(state, saved):
    message = r"source\.pth: not the weights of pictures\.arch, shufflenet_v2_x1_0\n  stage2\.0\.branch1\.2\.weight: "
    with pytest.raises(InputError, match=message):
        read_weights(saved({"state_dict": state}), "shufflenet_v2_x1_0")


# The stage


@pytest.fixture
def stage(monkeypatch):
    """The stage's main for an arch and a file; what obtain was asked for is kept in `asked`."""
    module = importlib.import_module("stages.fetch_source_model")

    def fetch(arch, file, out):
        sample = SimpleNamespace(urls=["embedded"], hash=None, size=None, mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.1])
        sources = SimpleNamespace(source_model=SimpleNamespace(sample=sample))
        params = SimpleNamespace(dataset="sample", pictures=SimpleNamespace(arch=arch), sources=sources)
        monkeypatch.setattr(module, "load_params", lambda: params)

        def obtain(*arguments):
            fetch.asked = arguments
            return file

        monkeypatch.setattr(module, "obtain", obtain)
        module.main(out)

    fetch.asked = None
    return fetch


def test_the_stage_writes_weights_and_what_they_were_trained_with(stage, state, saved, tmp_path, capsys):
    out = tmp_path / "data" / "source_model.safetensors"
    stage(ARCH, saved({"state_dict": state}), out)
    weights, about = read_tensors(out)
    assert same({name: weights[name] for name in state}, state)
    assert about == {"arch": ARCH, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.1], "outputs": 12}
    parameters = sum(parameter.numel() for parameter in build(ARCH, 12).parameters())
    assert capsys.readouterr().out == f"{ARCH}: {parameters:,} parameters, 12 outputs\n"
    name, dataset, source, maker, *arguments = stage.asked
    assert (name, dataset, source.urls, arguments) == ("source_model", "sample", ["embedded"], [ARCH])
    assert maker.__name__ == "write_source_model"


def test_the_stages_bytes_depend_on_the_weights_alone(stage, state, saved, tmp_path):
    outs = [tmp_path / name for name in ("first.safetensors", "second.safetensors")]
    stage(ARCH, saved(state), outs[0])
    stage(ARCH, saved({"model": dict(reversed(state.items()))}), outs[1])
    assert outs[0].read_bytes() == outs[1].read_bytes()
    size = int.from_bytes(outs[0].read_bytes()[:8], "little")
    assert json.loads(outs[0].read_bytes()[8 : 8 + size])["__metadata__"].keys() == {"about"}


def test_an_unsuitable_architecture_is_refused_before_any_download(stage, tmp_path):
    with pytest.raises(InputError, match=r"pictures\.arch: \.\./googlenet is no classification model"):
        stage("../googlenet", tmp_path / "none", tmp_path / "out")
    assert stage.asked is None
