import { createCrmRecord, handoffLead } from "./client.js";

const { VOREL_API_KEY, LEAD } = process.env as Record<string, string>;
const options = { headers: { Authorization: `Bearer ${VOREL_API_KEY}` } };
const handOff = (id: string) => handoffLead(id, { reason: "no-response-7d" }, options);
const create = async (last_name: string) => {
  const body = { object: "contact", fields: { last_name }, idempotency_key: last_name } as const;
  const answer = await createCrmRecord(body, options);
  return answer.status === 200 ? answer.data : undefined;
};

const [handoff, unknown] = [await handOff(LEAD!), await handOff("00000000-0000-4000-8000-000000000004")];
const [made, failed] = [await create("Lee"), await create("auth_failed@crm-error.test")];
console.log(
  JSON.stringify({
    handoff: handoff.status === 200 ? handoff.data.conversation_status : null,
    unknown: unknown.status === 404 ? unknown.data.error.code : null,
    made: made?.ok,
    failed: failed && "error" in failed ? failed.error : null,
  }),
);
