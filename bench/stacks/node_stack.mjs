// An integration as it is often written: `node node_stack.mjs NAME`, one HTTP library as its page shows it.
import { randomUUID } from "node:crypto";

const { VOREL_BASE_URL: BASE, VOREL_API_KEY: KEY } = process.env;
const headers = { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" };

// `body` is a function: who calls it again for another attempt makes another key.
const request = (body) => ({ method: "POST", headers, body: JSON.stringify(body()), signal: AbortSignal.timeout(5000) });

async function read(response) {
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

async function undici(dispatcherOf) {
  const library = await import("undici");
  const dispatcher = dispatcherOf(library);
  return async (path, body) => {
    const options = { method: "POST", headers, body: JSON.stringify(body()), headersTimeout: 5000, bodyTimeout: 5000 };
    const response = await library.request(BASE + path, { ...options, dispatcher });
    if (response.statusCode >= 300) throw new Error(String(response.statusCode));
    return response.body.json();
  };
}

async function axios(retry) {
  const { default: library } = await import("axios");
  const { default: axiosRetry, isRetryableError } = await import("axios-retry");
  const client = library.create({ baseURL: BASE, headers, timeout: 5000 });
  if (retry) axiosRetry(client, retry(isRetryableError));
  return async (path, body) => (await client.post(path, body())).data;
}

async function fetchRetry(options) {
  const { default: build } = await import("fetch-retry");
  const fetchAgain = build(fetch);
  return async (path, body) => read(await fetchAgain(BASE + path, { ...request(body), ...options }));
}

async function library(name, call) {
  const { default: found } = await import(name);
  return (path, body) => call(found, BASE + path, body);
}

const STACKS = {
  fetch: () => async (path, body) => read(await fetch(BASE + path, request(body))),
  undici: () => undici(({ Agent }) => new Agent()),
  "undici-retry-agent": () => undici(({ Agent, RetryAgent }) => new RetryAgent(new Agent())),
  "undici-retry-agent-post": () =>
    undici(({ Agent, RetryAgent }) => new RetryAgent(new Agent(), { methods: ["GET", "PUT", "POST"] })),
  "undici-interceptor": () => undici(({ Agent, interceptors }) => new Agent().compose(interceptors.retry())),
  axios: () => axios(),
  "axios-retry": () => axios(() => ({ retries: 3 })),
  "axios-retry-post": () => axios((isRetryableError) => ({ retries: 3, retryCondition: isRetryableError })),
  got: () => library("got", (got, url, body) => got.post(url, { headers, json: body(), timeout: { request: 5000 } }).json()),
  "got-post": () =>
    library("got", (got, url, body) =>
      got.post(url, { headers, json: body(), timeout: { request: 5000 }, retry: { methods: ["POST"] } }).json(),
    ),
  ky: () => library("ky", (ky, url, body) => ky.post(url, { headers, json: body(), timeout: 5000 }).json()),
  "ky-post": () =>
    library("ky", (ky, url, body) =>
      ky.post(url, { headers, json: body(), timeout: 5000, retry: { methods: ["post"] } }).json(),
    ),
  superagent: () =>
    library("superagent", async (agent, url, body) => (await agent.post(url).set(headers).timeout(5000).send(body())).body),
  "superagent-retry": () =>
    library(
      "superagent",
      async (agent, url, body) => (await agent.post(url).set(headers).timeout(5000).retry(2).send(body())).body,
    ),
  needle: () =>
    library("needle", async (needle, url, body) => {
      const response = await needle("post", url, body(), { headers, json: true, response_timeout: 5000, read_timeout: 5000 });
      if (response.statusCode >= 300) throw new Error(String(response.statusCode));
      return response.body;
    }),
  "node-fetch": () => library("node-fetch", async (fetch, url, body) => read(await fetch(url, request(body)))),
  "make-fetch-happen": () =>
    library("make-fetch-happen", async (fetch, url, body) =>
      read(await fetch(url, { method: "POST", headers, body: JSON.stringify(body()), timeout: 5000, retry: 2 })),
    ),
  "fetch-retry": () => fetchRetry({}),
  "fetch-retry-on": () => fetchRetry({ retryOn: [429, 500, 502, 503, 504] }),
  ofetch: async () => {
    const { ofetch } = await import("ofetch");
    return (path, body) => ofetch(BASE + path, { method: "POST", headers, body: body(), timeout: 5000 });
  },
  "ofetch-retry": async () => {
    const { ofetch } = await import("ofetch");
    return (path, body) => ofetch(BASE + path, { method: "POST", headers, body: body(), timeout: 5000, retry: 3 });
  },
  "p-retry": () =>
    library("p-retry", (pRetry, url, body) => pRetry(async () => read(await fetch(url, request(body))), { retries: 3 })),
  cockatiel: async () => {
    const { ExponentialBackoff, handleAll, retry } = await import("cockatiel");
    const policy = retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() });
    return (path, body) => policy.execute(async () => read(await fetch(BASE + path, request(body))));
  },
  wretch: async () => {
    const { default: wretch } = await import("wretch");
    const { retry } = await import("wretch/middlewares");
    const client = wretch(BASE).headers(headers).middlewares([retry({ maxAttempts: 3, retryOnNetworkError: true })]);
    return (path, body) => client.url(path).options({ signal: AbortSignal.timeout(5000) }).post(body()).json();
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
        ? await post(`/api/v1/leads/${lead_id}/handoff`, () => ({ reason, summary }))
        : await post("/api/v1/crm/create-record", () => ({ object, fields, idempotency_key: randomUUID() }));
    outcome = { outcome: "done", handoff_id: answer.handoff_id, external_id: answer.external_id };
  } catch (error) {
    outcome = { outcome: "failed", error: String(error.message).slice(0, 200) };
  }
  console.log(JSON.stringify({ id, ...outcome }));
}
process.exit(); // A pool with a time-out of its own keeps the process alive.
