"""Names that the text stages share: the two entries of every vocabulary that are no words, and what an id tells."""

UNK, PAD = "<unk>", "<pad>"
UNK_INDEX, PAD_INDEX = 0, 1
VALIDATION = "validation/"  # begins the ids of rows that the user holds out of the training split
