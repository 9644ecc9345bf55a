"""The choice among INT8 schemes and execution providers: which are tried, and which of those that are good wins."""
