"""Drawing of conformations: samplers, repair, relaxation in a force field, and novelty."""
