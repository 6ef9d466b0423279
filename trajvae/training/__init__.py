"""Training: from frames to a trained model, with checkpoints."""
