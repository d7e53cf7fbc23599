"""What makes the documentation: reference pages from the code, and the site from the pages."""
