#!/usr/bin/env bash
# For line_stack.py: `wget_stack.sh [options of wget]`.
while IFS=$'\t' read -r path body; do
  if answer=$(wget -qO- --timeout=5 "$@" --header="Authorization: Bearer $VOREL_API_KEY" \
    --header='Content-Type: application/json' --post-data="$body" "$VOREL_BASE_URL$path" </dev/null); then
    tr -d '\n' <<<"$answer"
    echo
  else
    echo '!wget'
  fi
done
