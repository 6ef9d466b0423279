"""Maps of the unit cube on to a compact manifold, given or learned, and measures of their quality."""
