"""What several algorithms share; a file for each part."""
