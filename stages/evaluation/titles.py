"""The models' names and titles, in the order in which they are shown."""

TEXT_MODELS = {"linear": "Linear", "birnn": "BiRNN", "textcnn": "TextCNN"}
ENSEMBLE = "ensemble"  # the mean of the text models' probabilities
IMAGE_MODELS = {"finetune": "ResNet, fine-tuned", "scratch": "ResNet, from scratch"}
TITLES = TEXT_MODELS | {ENSEMBLE: "Ensemble"} | IMAGE_MODELS
