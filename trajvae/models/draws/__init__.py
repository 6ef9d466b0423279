"""What conformations are drawn with: local geometry, and residuals of training frames."""
