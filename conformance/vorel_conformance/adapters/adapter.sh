#!/usr/bin/env bash
# Adapter between `vorel-conformance client` and your integration. It needs curl and jq.
# Try it: vorel-conformance client -- ./adapter.sh
#
# It reads tasks on stdin and prints one line of JSON for each. Replace the bodies of `handoff` and `create_record` by
# calls of your own program, so that your program is what is certified. As it stands it does the work itself.
set -uo pipefail

# Hand a lead off. A lost answer is not tried again: the lead may have been handed off.
handoff() {
  post "/api/v1/leads/$(jq -r .lead_id <<<"$1")/handoff" "$(jq -c '{reason, summary} | del(.[] | nulls)' <<<"$1")" no
}

# Create a record in the CRM. The same task has the same key in every attempt, also after a restart.
create_record() {
  post /api/v1/crm/create-record "$(jq -c '{object, fields, idempotency_key: .id}' <<<"$1")" yes
}

# POST, and try again what may pass: after Retry-After, or after growing pauses. Sets `status` and `answer`.
post() {
  local path=$1 body=$2 again_if_lost=$3 pause wait file
  file=$(mktemp)
  for pause in 0.5 1 2 ""; do
    # The key comes from stdin: on the command line each user of the machine could read it. No --location, no --retry.
    answer=$(curl --silent --max-time 10 --dump-header "$file" --request POST "$VOREL_BASE_URL$path" \
      --header @<(printf 'Authorization: Bearer %s\n' "$VOREL_API_KEY") \
      --header 'Content-Type: application/json' --data-binary @- <<<"$body")
    local lost=$?
    status=$(awk 'NR == 1 {print $2}' "$file")
    wait=$pause
    if [ "$lost" -ne 0 ]; then
      status=lost
      [ "$again_if_lost" = yes ] || break
    elif [ "$status" = 429 ]; then
      wait=$(awk 'tolower($1) == "retry-after:" {print int($2)}' "$file")
    elif [ "$status" != 503 ] && ! { [ "$again_if_lost" = yes ] && [ "$status" -ge 500 ]; }; then
      break
    fi
    [ -n "$pause" ] && sleep "$wait"
  done
  rm -f "$file"
}

jq -c '.tasks[]' | while read -r task; do
  if [ "$(jq -r .do <<<"$task")" = handoff ]; then handoff "$task"; else create_record "$task"; fi </dev/null
  jq -cn --arg status "$status" --arg answer "$answer" --argjson task "$task" '
    ($answer | try fromjson catch {}) as $said
    | {id: $task.id} + if $status == "200" and $said.ok != false
      then {outcome: "done"} + ($said | {handoff_id, external_id} | del(.[] | nulls))
      else {outcome: "failed", error: ($said.error.code? // $said.error // $status | tostring)} end'
done
