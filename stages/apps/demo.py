"""The demo's page: each model's prediction for a review or a picture, and its explanation."""

import html
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import of Gradio, which reads it then

import gradio as gr
from PIL import Image, ImageOps

from stages.apps.image_models import ImageFile, ImageModels, as_images
from stages.apps.predictions import top_class
from stages.apps.review_lines import Review
from stages.apps.review_models import ReviewModels
from stages.core.files import InputError
from stages.core.progress import hidden
from stages.evaluation.titles import ENSEMBLE, TITLES
from stages.explain.grad_cam import heat_maps
from stages.explain.overlay import overlay
from stages.explain.reviews import attribute
from stages.vision.batches.augmentation import central_view
from stages.vision.reading.opening import plain

MAX_LETTERS = 1 << 20  # of a review: seventy times the longest real one
# System fonts, because Gradio's own themes load fonts from Google
THEME = gr.themes.Base(
    primary_hue="indigo",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
SIDE = 256  # pixels of an explained image, at most
TOP = 6  # classes shown of a prediction, at most
UPLOAD_SECONDS = 3600  # for which an uploaded image is kept in the temporary folder


def demo(
    reviews: ReviewModels, images: ImageModels, texts: list[str], examples: list[bytes], notes: dict[str, str | None]
) -> gr.Blocks:
    """Return the page with `texts` and encoded images as examples to click, and a note for each tab."""
    with gr.Blocks(title="sentidog", analytics_enabled=False, delete_cache=(UPLOAD_SECONDS, UPLOAD_SECONDS)) as page:
        gr.Markdown("# sentidog\nWhat the trained models predict for a review or a picture.")
        with gr.Tab("Review"):
            _note(notes["reviews"])
            _review_tab(reviews, texts)
        with gr.Tab("Picture"):
            _note(notes["pictures"])
            _image_tab(images, examples)
    return page


def _note(text: str | None) -> None:
    if text:
        gr.Markdown(f"These models were {text}.")


def _review_tab(models: ReviewModels, texts: list[str]) -> None:
    text = gr.Textbox(label="Review", lines=4, max_lines=12, placeholder="What did you think of it?")
    ask = gr.Button("Ask", variant="primary")
    outputs: list[Any] = []
    with gr.Row(equal_height=False):
        for name in models.names:
            with gr.Column(min_width=280):
                outputs.append(gr.Label(label=TITLES[name], num_top_classes=TOP))
                if name == ENSEMBLE:
                    gr.Markdown("The mean of the models' probabilities.")
                    continue
                outputs.append(gr.HighlightedText(label="Each word for (1) or against (-1) it", show_legend=True))
    explain = _handler(lambda value: explain_review(models, value))
    gr.on([ask.click, text.submit], explain, text, outputs)
    gr.Examples([[review] for review in texts], text, outputs, explain, run_on_click=True, cache_examples=False)


def _image_tab(models: ImageModels, examples: list[bytes]) -> None:
    # type="filepath": stages.vision.reading.opening decodes the file, with limits and clear errors that Gradio lacks
    image = gr.Image(label="Picture", sources=["upload", "clipboard"], height=280, type="filepath", image_mode=None)
    outputs: list[Any] = []
    with gr.Row(equal_height=False):
        for name in models.models:
            with gr.Column(min_width=280):
                outputs.append(gr.Label(label=TITLES[name], num_top_classes=TOP))
                outputs.append(gr.Image(label="Where it looks", interactive=False, height=280, buttons=[]))
    explain = _handler(lambda file: explain_image(models, file) if file else [None] * len(outputs))
    image.change(explain, image, outputs)
    gr.Examples([[Image.open(io.BytesIO(encoded))] for encoded in examples], image)


def _handler(function: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """Return `function` as an event handler of Gradio that shows the message of an InputError on the page."""

    def handle(value: Any) -> list[Any]:
        try:
            with hidden():
                return function(value)
        except InputError as problem:
            raise gr.Error(html.escape(str(problem), quote=False), duration=None, print_exception=False) from problem

    return handle


def explain_review(models: ReviewModels, text: str) -> list[Any]:
    """Return each model's probabilities, followed by the words with their attributions, -1 to 1.

    The ensemble has no attributions. Raises InputError if the text is empty or too long.
    """
    if not text.strip():
        raise InputError("The review is empty: type one first.")
    if len(text) > MAX_LETTERS:
        raise InputError(f"More than {MAX_LETTERS:,} letters: expected a review.")
    (prediction,) = models.predict([Review(text)])
    if prediction.warning:
        gr.Warning(html.escape(prediction.warning, quote=False))  # shown as HTML
    found: list[Any] = []
    for name in models.names:
        probabilities = prediction.models[name]
        found.append(probabilities)
        if name == ENSEMBLE:
            continue
        model, config = models.models[name]
        target = config.classes.index(top_class(probabilities))
        ids = models.encode([text], config).ids
        added = attribute(model, config, ids, target, models.hardware).words.tolist()
        strongest = max(*map(abs, added), 1e-6)
        words = models.words([text], config)[0].as_py()[: len(added)]
        shades = [(f"{word} ", value / strongest) for word, value in zip(words, added, strict=True)]
        found.append(shades)
    return found


def explain_image(models: ImageModels, file: str) -> list[Any]:
    """Return each model's probabilities, followed by the image with its heat map.

    Raises InputError if the file is no image, is damaged or is enormous.
    """
    files = [ImageFile(file, plain(Path(file), "This file"))]
    images = as_images(files)
    (prediction,) = models.predict(files)
    found: list[Any] = []
    for name, (classifier, config) in models.models.items():
        heat = heat_maps(classifier, config, images, models.hardware)
        view = central_view(config.image_size)(images.decode(0))
        explained = view if heat is None else overlay(view, heat[0].numpy())
        found += [prediction.models[name], ImageOps.contain(explained, (SIDE, SIDE))]
    return found
