"""How the tables of a catalogue became what they are: one module a step, run by Alembic."""
