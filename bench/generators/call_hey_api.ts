import { client } from "./client/client.gen.js";
import { createCrmRecord, handoffLead } from "./client/sdk.gen.js";

const { VOREL_BASE_URL, VOREL_API_KEY, LEAD } = process.env as Record<string, string>;
client.setConfig({ baseUrl: VOREL_BASE_URL! as never, auth: () => VOREL_API_KEY! });
const handOff = (id: string) => handoffLead({ path: { id }, body: { reason: "no-response-7d" } });
const create = async (last_name: string) => {
  const body = { object: "contact", fields: { last_name }, idempotency_key: last_name } as const;
  return (await createCrmRecord({ body })).data;
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
