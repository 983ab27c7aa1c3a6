"""The two entries of every vocabulary that are no words."""

UNK, PAD = "<unk>", "<pad>"
UNK_INDEX, PAD_INDEX = 0, 1
