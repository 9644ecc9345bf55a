"""Knowledge graphs: triples, names, paths between entities, questions and their contexts as text."""
