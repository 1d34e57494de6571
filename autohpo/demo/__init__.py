"""A worked example: tune a graph network on the Cora citation graph."""
