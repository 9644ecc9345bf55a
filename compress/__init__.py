"""Making models: fine-tuning a predecessor, and replacing its layers by half as many."""
