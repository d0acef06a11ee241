import createClient from "openapi-fetch";
import type { paths } from "./client.js";

const { VOREL_BASE_URL, VOREL_API_KEY, LEAD } = process.env as Record<string, string>;
const api = createClient<paths>({ baseUrl: VOREL_BASE_URL!, headers: { Authorization: `Bearer ${VOREL_API_KEY}` } });
const handOff = (id: string) =>
  api.POST("/api/v1/leads/{id}/handoff", { params: { path: { id } }, body: { reason: "no-response-7d" } });
const create = async (last_name: string) => {
  const body = { object: "contact", fields: { last_name }, idempotency_key: last_name } as const;
  const { data } = await api.POST("/api/v1/crm/create-record", { body });
  return data;
};

const [handoff, unknown] = [await handOff(LEAD!), await handOff("00000000-0000-4000-8000-000000000004")];
const [made, failed] = [await create("Lee"), await create("auth_failed@crm-error.test")];
console.log(
  JSON.stringify({
    handoff: handoff.data?.conversation_status,
    unknown: unknown.error?.error.code,
    made: made?.ok,
    failed: failed && "error" in failed ? failed.error : null,
  }),
);
