"""Arguments that users give: keywords, names from tables, and functions of their own."""
