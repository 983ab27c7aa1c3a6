"""Files of weights as people have them: prefixes, other output layers, things beside the network, other formats."""

import io
import re
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stages.core.files import InputError
from stages.vision.networks import build, from_source
from stages.vision.reading.weights import read_weights

ARCH = "shufflenet_v2_x0_5"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return build(ARCH, 12).state_dict()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def read(value: object, file: Path, arch: str = ARCH) -> tuple[State, int]:
    torch.save(value, file)
    return read_weights(file, arch)


def same_features(found: State, state: State) -> bool:
    features = {name for name in state if not name.startswith("fc.")}
    return features <= found.keys() and all(torch.equal(found[name], state[name]) for name in features)


@pytest.mark.parametrize(
    "prefix", ["model.", "backbone.", "encoder.", "0.", "net.0.", "module.base_encoder.", "my-net."]
)
def test_a_prefix_of_any_name_is_stripped(state: State, file: Path, prefix: str) -> None:
    found, outputs = read(prefixed(prefix, state), file)
    assert same_features(found, state)
    assert (found.keys(), outputs) == (state.keys(), 12)


@pytest.mark.parametrize("key", ["net", "ema", "weights"])
def test_a_state_dict_under_any_key_is_read_where_it_is_the_only_one(state: State, file: Path, key: str) -> None:
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
    found, _ = read({key: state, "epoch": 3, "optimizer": optimizer}, file)
    assert same_features(found, state)


def test_a_second_network_in_the_file_is_not_passed_over_without_a_word(
    state: State, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    averaged = prefixed("module.", {name: tensor + 1 for name, tensor in state.items()})
    found, _ = read({"model": state, "model_ema": averaged, "optimizer": {"state": {}, "param_groups": []}}, file)
    assert same_features(found, state)
    assert capsys.readouterr().err == f"{file}: the weights under 'model' are read, and not those under 'model_ema'\n"


HEADS = {
    "missing": {},
    "other size": {"fc.weight": torch.zeros(7, 1024), "fc.bias": torch.zeros(7)},
    "of several layers": {"fc.0.weight": torch.zeros(5, 1024), "fc.3.weight": torch.zeros(2, 5)},
    "without bias": {"fc.weight": torch.zeros(7, 1024)},
    "of another width": {"fc.weight": torch.zeros(7, 10), "fc.bias": torch.zeros(7)},
}


@pytest.mark.parametrize("name", HEADS)
def test_a_missing_or_another_output_layer_is_fine_for_finetune(state: State, file: Path, name: str) -> None:
    features = {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}
    found, outputs = read({**features, **HEADS[name]}, file)
    assert outputs == (7 if name == "other size" else 0)
    network = from_source(ARCH, found, 3, file)
    assert same_features(network.state_dict(), state)
    assert network.fc.weight.shape == (3, 1024)


def test_what_stands_beside_the_network_is_left_out_with_a_word(
    state: State, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {"head.weight": torch.zeros(3), "criterion.weight": torch.ones(2)}
    found, _ = read({**prefixed("backbone.", state), **others}, file)
    assert found.keys() == state.keys()
    assert "2 tensors beside the network are left out: head.weight, criterion.weight" in capsys.readouterr().err


def test_two_networks_in_one_file_are_refused_by_their_prefixes(state: State, file: Path) -> None:
    with pytest.raises(InputError, match=rf"holds more than one {ARCH}: 'encoder_k\.', 'encoder_q\.'"):
        read({**prefixed("encoder_q.", state), **prefixed("encoder_k.", state)}, file)
    with pytest.raises(InputError, match="holds more than one network: 'student', 'teacher'"):
        read({"student": state, "teacher": state}, file)


def test_a_deeper_networks_file_is_not_cut_down(file: Path) -> None:
    deeper = build("resnet34", 2).state_dict()  # which holds every tensor of ResNet-18, in the same shapes
    with pytest.raises(InputError, match=r"not the weights of pictures\.arch, resnet18\n  .* expected nothing"):
        read(deeper, file, "resnet18")


def test_another_networks_file_is_refused_with_names_that_it_has(file: Path) -> None:
    names = {"stem.conv.weight": torch.zeros(2), "stem.norm.weight": torch.zeros(2)}
    with pytest.raises(InputError, match=r"the file has 2 tensors: stem\.conv\.weight, stem\.norm\.weight\n"):
        read(names, file)


def tar(_: State) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "it is an HDF5 file"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a pointer of git-lfs; .* git lfs pull"),
        (b"", "it is an empty file"),
        (tar({}), "it is a gzip archive"),
        (
            zipped({"config.json": b"{}", "model.weights.h5": b""}),
            "it is a zip .* with 'config.json', 'model.weights.h5'",
        ),
        (b"PK\3\4" + bytes(50), "it is damaged: a zip archive, as torch.save writes it, that breaks off"),
        (struct.pack("<Q", 30) + b'{"a": 1}', r"it is damaged \(.*header.*\)"),
        (b"hello", "it holds more than tensors, or is damaged"),
    ],
)
def test_a_file_of_another_kind_is_named(file: Path, content: bytes, what: str) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"weights\.pth: {what}; expected a state dict"):
        read_weights(file, ARCH)


class Custom:
    pass


def test_no_advice_to_load_unsafely_passes_through(state: State, file: Path) -> None:
    contents = []
    for value in (build(ARCH, 2), {"state_dict": state, "args": Custom()}, {"a": re.compile("x")}):
        torch.save(value, file)
        contents.append(file.read_bytes())
    torch.jit.script(nn.Linear(2, 2)).save(str(file))
    contents.append(file.read_bytes())
    contents += [b"\x80\x02}q\x00(X\x01", b"\x80\x05\x95garbage", b"PK\3\4" + bytes(50)]
    for content in contents:
        file.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_weights(file, ARCH)
        assert not re.search(r"weights_only|trust|allowlist|safe_globals|arbitrary", str(caught.value))
        assert "expected a state dict" in str(caught.value)
