"""BERT-Attack: how easily a classifier is fooled by words that a masked language model finds fitting."""
