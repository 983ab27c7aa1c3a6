import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision import models

from stages.core.files import InputError
from stages.vision.networks import (
    AUXILIARY,
    Classifier,
    architectures,
    build,
    check_arch,
    check_fit,
    from_source,
    outline,
    output_layer,
    parameter_groups,
    set_weights,
)

OUTPUT_LAYERS = {
    "alexnet": "classifier.6",
    "convnext_tiny": "classifier.2",
    "densenet121": "classifier",
    "efficientnet_b0": "classifier.1",
    "maxvit_t": "classifier.5",
    "mnasnet0_5": "classifier.1",
    "mobilenet_v2": "classifier.1",
    "mobilenet_v3_small": "classifier.3",
    "regnet_x_400mf": "fc",
    "resnet18": "fc",
    "shufflenet_v2_x0_5": "fc",
    "squeezenet1_1": "classifier.1",
    "swin_t": "head",
    "swin_v2_t": "head",
    "vgg11": "classifier.6",
    "vit_b_16": "heads.head",
}
SMALL = ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5", "mnasnet0_5"]
FILE = Path("source.pth")


def family(arch):
    return re.split(r"[\d_]", arch)[0]


def random_state(arch, outputs):
    """A state dict in which every tensor differs from a fresh network's, batch-norm statistics included."""
    state = build(arch, outputs).state_dict()
    return {name: tensor + torch.rand_like(tensor) / 100 if tensor.is_floating_point() else tensor + 3
            for name, tensor in state.items()}  # fmt: skip


def train_step(classifier):
    classifier.train()
    groups = parameter_groups(classifier, 0.1, 10)
    optimizer = torch.optim.SGD(groups, 0.1, momentum=0.9, weight_decay=0.1)
    cross_entropy(classifier(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 1, 0])).backward()
    optimizer.step()


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def copy(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


# Architectures


def test_architectures_are_torchvisions_classification_models_without_auxiliary_outputs():
    names = architectures()
    assert set(OUTPUT_LAYERS) <= set(names)
    assert not {"googlenet", "inception_v3", "fcn_resnet50", "fasterrcnn_resnet50_fpn", "r3d_18"} & set(names)
    assert set(names) | set(AUXILIARY) == set(models.list_models(module=models))


def test_every_family_of_architectures_is_among_those_tested():
    assert {family(arch) for arch in architectures()} - {family(arch) for arch in OUTPUT_LAYERS} == {"resnext", "wide"}


@pytest.mark.parametrize(("arch", "name"), OUTPUT_LAYERS.items())
def test_the_output_layer_is_found_has_an_output_for_each_class_and_a_rate_of_its_own(arch, name):
    assert output_layer(arch) == name
    network = outline(arch, 5)
    last = list(network.get_submodule(name).parameters())
    assert {len(parameter) for parameter in last} == {5}
    features, output = parameter_groups(Classifier(arch, network), 0.01, 10)
    assert (features["lr"], output["lr"]) == (0.01, pytest.approx(0.1))
    assert [id(parameter) for parameter in output["params"]] == [id(parameter) for parameter in last]
    places = [id(parameter) for group in (features, output) for parameter in group["params"]]
    assert sorted(places) == sorted(id(parameter) for parameter in network.parameters())


@pytest.mark.parametrize("arch", ["vit_b_16", "swin_t", "convnext_tiny", "densenet121", "vgg11"])
def test_networks_too_large_to_run_here_would_give_logits(arch):
    classifier = Classifier(arch, outline(arch, 5)).to("meta").eval()
    assert classifier(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 5)


@pytest.mark.parametrize("arch", AUXILIARY)
@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_those_left_out_have_several_output_layers(arch):
    with torch.device("meta"):
        two, three = (models.get_model(arch, weights=None, num_classes=classes).state_dict() for classes in (2, 3))
    assert len({name.rpartition(".")[0] for name in two if two[name].shape != three[name].shape}) > 1


def test_an_outline_has_the_networks_names_and_shapes():
    for arch in ("shufflenet_v2_x0_5", "regnet_x_400mf"):
        shown, real = (make(arch, 4).state_dict() for make in (outline, build))
        assert {name: (tensor.shape, tensor.dtype) for name, tensor in shown.items()} == {
            name: (tensor.shape, tensor.dtype) for name, tensor in real.items()
        }
        assert shown["fc.weight"].is_meta


def test_a_look_at_the_architecture_takes_nothing_from_the_random_generator():
    generator = torch.get_rng_state()
    output_layer.cache_clear()
    output_layer("swin_t")
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet17", "resnet17 is no classification model of torchvision's; did you mean resnet18? take one of alex"),
        ("ResNet18", "did you mean resnet18?"),
        ("googlenet", "googlenet has auxiliary outputs;"),
        ("fcn_resnet50", "fcn_resnet50 is no classification model"),
        ("", "take one of alexnet, "),
    ],
)  # fmt: skip
def test_an_unsuitable_architecture_is_refused_with_the_list_of_the_others(arch, message):
    for refuse in (check_arch, output_layer, lambda arch: build(arch, 2)):
        with pytest.raises(InputError, match=re.escape(message)) as caught:
            refuse(arch)
        assert str(caught.value).startswith(f"pictures.arch: {arch} ")
        assert str(caught.value).endswith(", ".join(architectures()))


# A network from a source


@pytest.mark.parametrize(
    ("arch", "classes"), [*((arch, 2) for arch in SMALL), ("resnet18", 5), ("shufflenet_v2_x0_5", 12)]
)
def test_only_the_new_layer_differs_from_the_source(arch, classes):
    source = random_state(arch, 12)
    network = from_source(arch, source, classes, FILE)
    new = network.state_dict()
    assert list(new) == list(source)
    layer = output_layer(arch)
    assert moved(source, new) == {f"{layer}.weight", f"{layer}.bias"}
    with torch.no_grad():
        logits = network.eval()(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


def test_the_new_layer_is_drawn_by_the_seed_and_the_source_is_left_as_it_was():
    source = random_state("shufflenet_v2_x0_5", 3)
    before = {name: tensor.clone() for name, tensor in source.items()}
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(from_source("shufflenet_v2_x0_5", source, 2, FILE).state_dict())
    assert not moved(drawn[0], drawn[1])
    assert moved(drawn[0], drawn[2]) == {"fc.weight", "fc.bias"}
    with torch.no_grad():
        for tensor in drawn[0].values():
            tensor.zero_()
    assert not moved(before, source)


def test_batch_norm_counters_may_be_missing():
    source = random_state("shufflenet_v2_x0_5", 3)
    old = {name: tensor for name, tensor in source.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(source)
    new = from_source("shufflenet_v2_x0_5", old, 2, FILE).state_dict()
    assert moved(old, new) == {"fc.weight", "fc.bias"}
    assert new["conv1.1.num_batches_tracked"] == 0


def test_weights_without_versions_are_taken():
    weights = random_state("mnasnet0_5", 2)
    network = build("mnasnet0_5", 2)
    set_weights(network, weights)
    assert not moved(weights, network.state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*classifier\.1\.bias"):
        set_weights(network, {name: tensor for name, tensor in weights.items() if name != "classifier.1.bias"})


def test_the_error_for_another_architecture_names_its_first_layers_and_says_what_to_do():
    with pytest.raises(InputError) as caught:
        from_source("resnet50", outline("resnet18", 12).state_dict(), 2, FILE)
    assert str(caught.value).splitlines() == [
        "source.pth: not the weights of pictures.arch, resnet50",
        "  layer1.0.conv1.weight: floats (64, 64, 3, 3) found, expected floats (64, 64, 1, 1)",
        "  layer1.0.conv3.weight: nothing found, expected floats (256, 64, 1, 1)",
        "  layer1.0.bn3.weight: nothing found, expected floats (256,)",
        "  and 185 more",
        "the file has 122 tensors: conv1.weight, bn1.weight, bn1.bias, …",
        "set pictures.arch to the architecture that the file is of, "
        "or sources.source_model to a file of resnet50 weights",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bn.weight": torch.zeros(4)}, "bn.weight: floats (4,) found, expected nothing"),
        ({"conv5.1.bias": None}, "conv5.1.bias: nothing found, expected floats (1024,)"),
        (
            {"conv5.1.bias": torch.zeros(1024, dtype=torch.int8)},
            "conv5.1.bias: integers (1024,) found, expected floats",
        ),
        (
            {"conv1.1.num_batches_tracked": torch.zeros(2, dtype=torch.int64)},
            "conv1.1.num_batches_tracked: integers (2,) found, expected integers ()",
        ),
    ],
)
def test_whatever_does_not_fit_is_named(change, message):
    arch = "shufflenet_v2_x0_5"
    state = outline(arch, 3).state_dict()
    check_fit(arch, state, FILE)
    state = {name: tensor for name, tensor in {**state, **change}.items() if tensor is not None}
    with pytest.raises(InputError, match=rf"^source\.pth: [^\n]*\n  {re.escape(message)}"):
        check_fit(arch, state, FILE)


# Learning


@pytest.mark.parametrize("arch", SMALL)
def test_frozen_features_do_not_move(arch):
    classifier = Classifier(arch, from_source(arch, random_state(arch, 3), 2, FILE), "features")
    (group,) = parameter_groups(classifier, 0.01, 10)
    assert group["lr"] == pytest.approx(0.1)
    before = copy(classifier.network)
    train_step(classifier)
    after = moved(before, classifier.network.state_dict())
    assert after == {f"{output_layer(arch)}.weight", f"{output_layer(arch)}.bias"}
    assert after == {name for name, parameter in classifier.network.named_parameters() if parameter.requires_grad}
    assert len(group["params"]) == 2


def test_without_freezing_all_moves_batch_norm_included():
    classifier = Classifier("resnet18", build("resnet18", 2))
    before = copy(classifier.network)
    train_step(classifier)
    assert moved(before, classifier.network.state_dict()) == set(before)


def test_dropout_in_frozen_features_is_off_in_training():
    network = build("mobilenet_v3_small", 2)
    assert any(isinstance(module, nn.Dropout) for module in network.modules())
    images = torch.randn(2, 3, 64, 64)
    frozen = Classifier("mobilenet_v3_small", network, "features").train()
    assert torch.equal(frozen(images), frozen(images))
    free = Classifier("mobilenet_v3_small", network).train()
    assert not torch.equal(free(images), free(images))


@pytest.mark.parametrize(("freeze", "training"), [("none", True), ("features", False)])
def test_the_mode_of_training_comes_and_goes(freeze, training):
    classifier = Classifier("resnet18", outline("resnet18", 2), freeze)
    for mode in (True, False, True):
        assert classifier.train(mode) is classifier
        assert classifier.training == classifier.output.training == mode
        assert classifier.network.bn1.training == (mode and training)
    assert not any(module.training for module in classifier.eval().modules())


def test_a_frozen_classifier_is_ready_from_the_start():
    assert not Classifier("resnet18", outline("resnet18", 2), "features").network.bn1.training


def test_the_networks_state_has_torchvisions_names():
    classifier = Classifier("resnet18", outline("resnet18", 2))
    assert list(classifier.network.state_dict()) == list(models.resnet18(weights=None).state_dict())
