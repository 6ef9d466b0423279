"""Where ranges of frames are worked on: this process, or workers of a Dask cluster."""

from trajvae.cluster.dask_cluster import DaskCluster
from trajvae.cluster.places import ThisProcess, WorkPlace

__all__ = ["DaskCluster", "ThisProcess", "WorkPlace"]
