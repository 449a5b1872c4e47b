"""The catalogue: models, revisions, scans, layers and findings in a database."""
