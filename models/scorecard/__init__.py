"""The differentially private scorecard: a logistic additive model on binned features."""
