"""Maps of the unit cube on to a compact manifold, exact or learned, and measures of their quality."""
