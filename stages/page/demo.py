"""The page to try the models in: a review or a picture, each model's answer, and what it rests on."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: it would report to its makers

import gradio as gr
from PIL import Image, ImageOps

from stages.core.answers import best
from stages.core.files import InputError
from stages.core.progress import hidden
from stages.page.examples import heat_over
from stages.text.classify import ReviewModels
from stages.text.influence import influence
from stages.text.lines import LARGEST, Review
from stages.text.ragged import encode
from stages.text.tokens import UNK, tokenizer
from stages.vision.augmentation import central_view
from stages.vision.files import Picture, PictureModels, as_pictures
from stages.vision.heatmap import heatmaps
from stages.vision.opening import plain

TITLES = {"birnn": "BiRNN", "textcnn": "TextCNN", "finetune": "ResNet, fine-tuned", "scratch": "ResNet, from scratch"}
# Fonts that are there: Gradio's own themes fetch theirs from Google
THEME = gr.themes.Base(
    primary_hue="indigo",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
SHOWN = 256  # pixels of the side of a picture that is explained
TOP = 6  # classes of an answer, at most
KEPT = 3600  # seconds that an uploaded picture lies in the temporary folder


def demo(reviews: ReviewModels, pictures: PictureModels, texts: list[str], examples: list[bytes]) -> gr.Blocks:
    """Return the page, with some texts and encoded pictures to click."""
    with gr.Blocks(title="sentidog", analytics_enabled=False, delete_cache=(KEPT, KEPT)) as page:
        gr.Markdown("# sentidog\nWhat the trained models say of a review, or of a picture.")
        with gr.Tab("Review"):
            _review_tab(reviews, texts)
        with gr.Tab("Picture"):
            _picture_tab(pictures, examples)
    return page


def _review_tab(models: ReviewModels, texts: list[str]) -> None:
    text = gr.Textbox(label="Review", lines=4, max_lines=12, placeholder="What did you think of it?")
    ask = gr.Button("Ask", variant="primary")
    outputs: list[Any] = []
    with gr.Row(equal_height=False):
        for name in models.models:
            with gr.Column(min_width=280):
                outputs.append(gr.Label(label=TITLES[name], num_top_classes=TOP))
                outputs.append(gr.HighlightedText(label="Each word for (1) or against (-1) it", show_legend=True))
    answer = _answering(lambda given: answer_review(models, given))
    gr.on([ask.click, text.submit], answer, text, outputs)
    gr.Examples([[review] for review in texts], text, outputs, answer, run_on_click=True, cache_examples=False)


def _picture_tab(models: PictureModels, examples: list[bytes]) -> None:
    # As the file that it came as: stages.vision.opening knows limits and clear errors, Gradio does not
    picture = gr.Image(label="Picture", sources=["upload", "clipboard"], height=280, type="filepath", image_mode=None)
    outputs: list[Any] = []
    with gr.Row(equal_height=False):
        for name in models.models:
            with gr.Column(min_width=280):
                outputs.append(gr.Label(label=TITLES[name], num_top_classes=TOP))
                outputs.append(gr.Image(label="Where it looks", interactive=False, height=280, buttons=[]))
    answer = _answering(lambda given: answer_picture(models, given) if given else [None] * len(outputs))
    picture.change(answer, picture, outputs)
    gr.Examples([[Image.open(io.BytesIO(encoded))] for encoded in examples], picture)


def _answering(function: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    """Return a function for Gradio, whose page shows an InputError's message."""

    def answer(given: Any) -> list[Any]:
        try:
            with hidden():
                return function(given)
        except InputError as problem:
            raise gr.Error(str(problem), duration=None, print_exception=False) from problem

    return answer


def answer_review(models: ReviewModels, text: str) -> list[Any]:
    """Return for each model its probabilities, and the words that it read with their influence, -1 to 1.

    Raises InputError if there is no text, or no end to it.
    """
    if not text.strip():
        raise InputError("The review is empty: type one first.")
    if len(text) > LARGEST:
        raise InputError(f"More than {LARGEST:,} letters: expected a review.")
    (answers,) = models.answer([Review(text)])
    if answers.warning:
        gr.Warning(answers.warning)
    found: list[Any] = []
    for name, (model, config) in models.models.items():
        words = tokenizer(config["tokenizer"])([text])
        ids, _ = encode(words, models.vocabulary, config["max_len"])
        target = config["classes"].index(best(answers.models[name]))
        added = influence(model, config, ids, target, models.hardware).words.tolist()
        strongest = max(*map(abs, added), 1e-6)
        shades = [addend / strongest for addend in added]
        read = (words[0].as_py() or [UNK])[: len(shades)]
        found += [answers.models[name], [(f"{word} ", shade) for word, shade in zip(read, shades, strict=True)]]
    return found


def answer_picture(models: PictureModels, file: str) -> list[Any]:
    """Return for each model its probabilities, and where in the picture it looks.

    Raises InputError if the file holds no whole picture, or an enormous one.
    """
    some = [Picture(file, plain(Path(file), "This file"))]
    (answers,) = models.answer(some)
    found: list[Any] = []
    for name, (classifier, config) in models.models.items():
        heat = heatmaps(classifier, config, as_pictures(some), models.hardware)
        seen = central_view(config["image_size"])(as_pictures(some).decode(0))
        explained = seen if heat is None else heat_over(seen, heat[0].numpy())
        found += [answers.models[name], ImageOps.contain(explained, (SHOWN, SHOWN))]
    return found
