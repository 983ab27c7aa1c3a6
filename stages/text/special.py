"""Names that the text stages share: the special words of every vocabulary, and the prefix of validation ids."""

UNK, PAD = "<unk>", "<pad>"
UNK_INDEX, PAD_INDEX = 0, 1
VALIDATION = "validation/"  # prefix of the ids of rows that the user holds out of the training split
