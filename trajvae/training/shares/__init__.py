"""Training in several processes: which frames each one has, their batches, and what they tell each other."""
