"""Search of the latent space: objectives, gradient descent, support, and ranking of what is found."""
