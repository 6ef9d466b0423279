"""Weights of frames: read from arrays, text and PLUMED's COLVAR files, and matched to frames by time or by number."""

from trajvae.frame_weights.chosen_frames import ChosenFrames
from trajvae.frame_weights.matching import read_weights
from trajvae.frame_weights.weights import FrameWeights, WeightSource

__all__ = ["ChosenFrames", "FrameWeights", "WeightSource", "read_weights"]
