#!/usr/bin/env bash
# An integration as it is often written: `curl_stack.sh [options of curl]`.
jq -c '.tasks[]' | while read -r task; do
  if [ "$(jq -r .do <<<"$task")" = handoff ]; then
    path="/api/v1/leads/$(jq -r .lead_id <<<"$task")/handoff"
    body=$(jq -c '{reason, summary} | del(.[] | nulls)' <<<"$task")
  else
    path=/api/v1/crm/create-record
    body=$(jq -c --arg key "$(cat /proc/sys/kernel/random/uuid)" '{object, fields, idempotency_key: $key}' <<<"$task")
  fi
  if answer=$(curl -sS --fail --max-time 5 "$@" "$VOREL_BASE_URL$path" -H "Authorization: Bearer $VOREL_API_KEY" \
    -H 'Content-Type: application/json' -d "$body" </dev/null); then
    jq -cn --argjson task "$task" --argjson answer "$answer" \
      '{id: $task.id, outcome: "done"} + ($answer | {handoff_id, external_id} | del(.[] | nulls))'
  else
    jq -cn --argjson task "$task" '{id: $task.id, outcome: "failed", error: "curl"}'
  fi
done
