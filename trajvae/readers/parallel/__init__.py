"""Reading by several processes: ranges of frames are decoded beside this process, and taken in order."""
