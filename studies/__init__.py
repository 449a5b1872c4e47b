"""What the temperatures mean, tried: each study is a script that anyone can run in minutes.

``python -m studies [NAME ...]`` runs them and writes ``docs/studies/NAME.md`` with its pictures.
"""
