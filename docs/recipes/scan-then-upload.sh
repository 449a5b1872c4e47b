#!/bin/sh
# scan-then-upload.sh ORG/NAME FOLDER [OPTIONS of hf upload]
# Uploads a folder to the hub, unless its weights cannot be read or a scan of them finds an error.
set -eu

model=$1 folder=$2
shift 2
cards=$(mktemp -d)  # not in the folder: what lies there is uploaded

if ! thermoscan scan "$folder" --fail-on error --out "$cards"; then
  echo "$model was not uploaded" >&2
  exit 1
fi
hf upload "$model" "$folder" . "$@"
