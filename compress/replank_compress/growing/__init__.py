"""Growing: pretraining that begins with a small encoder and makes it larger on the way.

Source: Gu et al., "On the Transformer Growth for Progressive BERT Training", NAACL 2021 (CompoundGrow). The operators
are those of its code; its schedules and tables were not published with it, and none of its numbers is claimed here.
"""
