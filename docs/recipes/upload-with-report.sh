#!/bin/sh
# upload-with-report.sh ORG/NAME FOLDER [OPTIONS of hf upload]
# Scans a folder, uploads it unless the scan finds an error, and then commits the report of that very
# scan to the model card: by the sha256 of the weights, which tells that they are what was scanned.
set -eu

model=$1 folder=$2
shift 2
cards=$(mktemp -d)

thermoscan scan "$folder" --fail-on error --sha256 --out "$cards"
hf upload "$model" "$folder" . "$@"
thermoscan attach "$model" --card "$cards/card.json" --commit
