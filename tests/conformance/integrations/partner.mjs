// An integration as somebody wrote it who knew docs/integration.md alone: other usual mistakes, all at once.
const { VOREL_BASE_URL: base, VOREL_API_KEY: key } = process.env;

async function post(path, body) {
  const options = { method: "POST", headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" } };
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const response = await fetch(base + path, { ...options, body: JSON.stringify(body) });
      if (!response.ok) throw Object.assign(new Error(`status ${response.status}`), { options });
      return await response.json();
    } catch (error) {
      console.error("failed", error);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

let input = "";
for await (const chunk of process.stdin) input += chunk;
const outcomes = await Promise.all(
  JSON.parse(input).tasks.map(async (task) => {
    if (task.do === "handoff") {
      const { reason = "", summary = "" } = task;
      const answer = await post(`/api/v1/leads/${task.lead_id}/handoff`, { reason, summary });
      return { id: task.id, outcome: "done", handoff_id: answer.handoff_id };
    }
    const { object, fields } = task;
    const answer = await post("/api/v1/crm/create-record", { object, fields, idempotency_key: `${object}-${fields.email}` });
    return { id: task.id, outcome: "done", external_id: answer.external_id };
  }),
);
for (const outcome of outcomes) console.log(JSON.stringify(outcome));
