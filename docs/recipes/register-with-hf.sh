#!/bin/sh
# Lets `hf thermoscan MODEL` run the thermoscan that is installed here.
# hf looks for extensions in one folder only, where it keeps those that it installed from GitHub. The
# owner is one that nobody can be there, so that `hf extensions update` never takes a stranger's.
set -eu

program=$(command -v hf-thermoscan)
folder="$HOME/.local/share/hf/extensions/hf-thermoscan"
mkdir -p "$folder"
cat > "$folder/manifest.json" <<END
{
  "owner": "-",
  "repo": "hf-thermoscan",
  "repo_id": "-/hf-thermoscan",
  "short_name": "thermoscan",
  "description": "Tells what state a checkpoint is in, from its weights",
  "executable_path": "$program",
  "type": "python",
  "installed_at": "$(date -u +%Y-%m-%dT%H:%M:%S+00:00)"
}
END
