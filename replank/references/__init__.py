"""References: what a model's first layer attends to beside a text, kept in a bank and found by a rule. RefBERT-style.

Source: Wang et al., "RefBERT: Reference BERT for Compressed Models", IJCNN 2021, of which only the abstract and the
first page could be read. That a student keeps using a teacher's pre-computed states of a similar, but different text,
in keys and values of its first layer, is the paper's; everything else here is a reconstruction, and no number of
theirs is claimed.
"""
