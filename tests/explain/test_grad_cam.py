import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models import VisionTransformer

from stages.explain.grad_cam import grad_cam, heat_maps
from stages.inference.config import Normalisation
from stages.inference.device import Hardware
from stages.vision.batches.images import read_images
from stages.vision.networks import Classifier, build, load_image_model
from tests.vision.tiny import IMAGENET, Folder


@pytest.fixture
def hardware() -> Hardware:
    return Hardware(torch.device("cuda" if torch.cuda.is_available() else "cpu"), "fp32", 1)


class Colours(nn.Module):
    """Class 0 for what is red, 1 for what is green: a layer with positions, then their mean, then the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 3, 1, bias=False)
        self.output = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.features.weight.copy_(torch.eye(3)[:, :, None, None])
            self.output.weight.copy_(torch.tensor([[1.0, -0.5, 0.0], [-0.5, 1.0, 0.0]]))

    def forward(self, images: Tensor) -> Tensor:
        return self.output(self.features(F.avg_pool2d(images, 2)).mean((2, 3)))


def test_the_map_is_where_the_class_is_seen() -> None:
    images = torch.zeros(2, 3, 8, 8)
    images[0, 0, :2, :2] = 4  # red, in a corner
    images[0, 0, 6:, 6:] = 2  # half as red in another
    images[0, 1, :2, 6:] = 1  # green in a third, which speaks against it
    images[1, 1, 4:6, 4:6] = 3
    images[1, 2] = 9  # blue, which no class is about
    heat = grad_cam(Colours(), images)
    assert heat.shape == (2, 8, 8)
    assert heat[0, 0, 0] == 1
    assert heat[0, 7, 7] == pytest.approx(0.5)
    assert heat[0, 0, 7] == 0
    assert heat[1].max() == heat[1, 4:6, 4:6].max() > 0.5
    assert not heat[1, :3].any()


@pytest.mark.parametrize(
    ("arch", "size", "layer"),
    [
        ("resnet18", 96, "layer4"),
        ("resnet18", 32, "layer3"),  # layer4 has a single position
        ("mobilenet_v3_small", 96, "features"),
        ("shufflenet_v2_x0_5", 96, "conv5"),
        ("mnasnet0_5", 96, "layers"),
        ("efficientnet_b0", 64, "features"),
        ("regnet_x_400mf", 96, "trunk_output"),
        ("convnext_tiny", 64, "features"),
        ("swin_t", 64, "permute"),
    ],
)
def test_the_map_comes_from_the_last_layer_with_places(arch: str, size: int, layer: str) -> None:
    torch.manual_seed(0)
    classifier = Classifier(arch, build(arch, 3)).eval()
    images = torch.randn(2, 3, size, size)
    kept: list[Tensor] = []
    hook = classifier.network.get_submodule(layer).register_forward_hook(lambda *given: kept.append(given[2]))
    logits = classifier(images)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits.max(1).values.sum(), kept)
    expected = torch.einsum("bc,bchw->bhw", gradient.mean((2, 3)), kept[0]).clamp(min=0)
    heat = grad_cam(classifier, images)
    expected = F.interpolate(expected[:, None], (size, size), mode="bilinear")[:, 0]
    torch.testing.assert_close(heat, expected / expected.amax((1, 2), keepdim=True).clamp(min=1e-30))
    assert heat.shape == (2, size, size)
    assert heat.amax() == 1


@pytest.mark.parametrize("arch", ["alexnet", "densenet121", "squeezenet1_1", "vgg11"])
def test_layers_that_work_in_place_have_maps_too(arch: str) -> None:
    torch.manual_seed(0)
    heat = grad_cam(Classifier(arch, build(arch, 2)).eval(), torch.randn(2, 3, 64, 64))
    assert heat.shape == (2, 64, 64)
    assert heat.isfinite().all()
    assert 0 <= heat.min() <= heat.max() <= 1


def test_frozen_features_have_maps_too() -> None:
    torch.manual_seed(0)
    network = build("resnet18", 2)
    images = torch.randn(1, 3, 64, 64)
    free = grad_cam(Classifier("resnet18", network).eval(), images)
    frozen = Classifier("resnet18", network, "features").eval()
    torch.testing.assert_close(grad_cam(frozen, images), free)


def test_where_nothing_speaks_for_the_class_the_map_is_empty() -> None:
    assert not grad_cam(Colours(), torch.zeros(1, 3, 8, 8)).any()


def test_a_vision_transformer_has_none(trained_images: Folder, hardware: Hardware) -> None:
    network = VisionTransformer(image_size=32, patch_size=16, num_layers=1, num_heads=1, hidden_dim=8, mlp_dim=8)
    _, config = load_image_model(trained_images.path / "finetune")
    images = read_images(trained_images.test)
    assert heat_maps(Classifier("vit_b_16", network), config, images, hardware) is None


def test_a_trained_model_looks_at_the_shape(trained_images: Folder, hardware: Hardware) -> None:
    classifier, config = load_image_model(trained_images.path / "finetune")
    images = read_images(trained_images.test)
    heat = heat_maps(classifier, config, images, hardware)
    assert heat is not None
    assert heat.shape == (len(images), 32, 32)
    assert heat.device.type == "cpu"
    assert config.normalisation == Normalisation(**IMAGENET)
    again = heat_maps(classifier, config, images, hardware)
    assert torch.equal(heat, again)
    assert all(parameter.grad is None for parameter in classifier.parameters())
