#!/usr/bin/env node
// Adapter between `vorel-conformance client` and your integration. It is TypeScript that is also JavaScript (Node 20).
// Try it: vorel-conformance client -- node adapter.mjs
//
// It reads tasks on stdin and prints one line of JSON for each. Replace the bodies of `handoff` and `createRecord` by
// calls of your own code, so that your code is what is certified. As it stands it does the work itself.

const { VOREL_BASE_URL, VOREL_API_KEY } = process.env;

/** Hand a lead off. Return the answer of the API; throw its error. */
async function handoff(task) {
  const { lead_id, reason, summary } = task; // what is undefined is left out by JSON.stringify
  // A lost answer is not tried again: the lead may have been handed off.
  return post(`/api/v1/leads/${lead_id}/handoff`, { reason, summary }, { againIfLost: false });
}

/** Create a record in the CRM. The same task has the same key in every attempt, also after a restart. */
async function createRecord(task) {
  const body = { object: task.object, fields: task.fields, idempotency_key: task.id };
  const answer = await post("/api/v1/crm/create-record", body, { againIfLost: true });
  if (!answer.ok) throw new Error(answer.error);
  return answer;
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** POST, and try again what may pass: after Retry-After, or after growing pauses. */
async function post(path, body, { againIfLost }) {
  let error = "";
  for (const pause of [0.5, 1, 2, undefined]) {
    let wait = pause;
    try {
      const response = await fetch(VOREL_BASE_URL + path, {
        method: "POST",
        headers: { Authorization: `Bearer ${VOREL_API_KEY}`, "Content-Type": "application/json" },
        body: JSON.stringify(body),
        redirect: "manual", // a redirect would take the key to another host
        signal: AbortSignal.timeout(10_000),
      });
      const text = await response.text();
      if (response.status === 200) return JSON.parse(text);
      error = codeOf(text) ?? String(response.status);
      if (response.status === 429) wait = Number(response.headers.get("Retry-After") ?? 1);
      else if (response.status !== 503 && !(againIfLost && response.status >= 500)) break;
    } catch (lost) {
      error = lost.cause?.code ?? lost.name;
      if (!againIfLost) break;
    }
    if (pause !== undefined) await sleep(wait);
  }
  throw new Error(error);
}

function codeOf(text) {
  try {
    return JSON.parse(text).error.code;
  } catch {
    return undefined;
  }
}

let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const task of JSON.parse(input).tasks) {
  let outcome;
  try {
    const { handoff_id, external_id } = await (task.do === "handoff" ? handoff(task) : createRecord(task));
    outcome = { id: task.id, outcome: "done", handoff_id, external_id };
  } catch (error) {
    outcome = { id: task.id, outcome: "failed", error: error.message };
  }
  console.log(JSON.stringify(outcome));
}
