// An integration as it is often written: `node node_stack.mjs NAME`, one HTTP library as its page shows it.
import { randomUUID } from "node:crypto";

const { VOREL_BASE_URL: BASE, VOREL_API_KEY: KEY } = process.env;
const headers = { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" };

const STACKS = {
  fetch: async () => async (path, body) => {
    const response = await fetch(BASE + path, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(String(response.status));
    return response.json();
  },
  "axios-retry": async () => {
    const { default: axios } = await import("axios");
    const { default: axiosRetry } = await import("axios-retry");
    const client = axios.create({ baseURL: BASE, headers, timeout: 5000 });
    axiosRetry(client, { retries: 3 });
    return async (path, body) => (await client.post(path, body)).data;
  },
  got: async () => {
    const { default: got } = await import("got");
    return (path, body) => got.post(BASE + path, { headers, json: body, timeout: { request: 5000 } }).json();
  },
  ky: async () => {
    const { default: ky } = await import("ky");
    return (path, body) => ky.post(BASE + path, { headers, json: body, timeout: 5000 }).json();
  },
};

const post = await STACKS[process.argv[2]]();
let input = "";
for await (const chunk of process.stdin) input += chunk;
for (const { id, do: kind, lead_id, reason, summary, object, fields } of JSON.parse(input).tasks) {
  let outcome;
  try {
    const answer =
      kind === "handoff"
        ? await post(`/api/v1/leads/${lead_id}/handoff`, { reason, summary })
        : await post("/api/v1/crm/create-record", { object, fields, idempotency_key: randomUUID() });
    outcome = { outcome: "done", handoff_id: answer.handoff_id, external_id: answer.external_id };
  } catch (error) {
    outcome = { outcome: "failed", error: String(error.message).slice(0, 200) };
  }
  console.log(JSON.stringify({ id, ...outcome }));
}
