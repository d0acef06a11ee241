// The package by its front door, with node:test. `npm test` has built it before.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { connect, ControlError, lines, type Mock, start, type Tenant, type TenantSettings, verifySignature } from "vorel-mock";

let mock: Mock;
const tenants: Tenant[] = [];

async function newTenant(settings: TenantSettings = {}): Promise<Tenant> {
  const tenant = await mock.newTenant(settings);
  tenants.push(tenant);
  return tenant;
}

function handOff(tenant: Tenant, key = tenant.key): Promise<Response> {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
  return fetch(`${tenant.baseUrl}/api/v1/leads/${tenant.lead}/handoff`, { method: "POST", headers, body: "{}" });
}

/** Run a program of its own, and return what it printed. */
function node(script: string, env: Record<string, string | undefined> = {}) {
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status: run.status, out: run.stdout.trim(), err: run.stderr };
}

before(async () => {
  mock = await start();
});

after(async () => {
  for (const tenant of tenants) await tenant.delete();
  await mock.stop();
});

describe("a tenant", () => {
  it("has keys, leads, and what a program under test needs", async () => {
    const tenant = await newTenant({ leads: 2 });
    assert.equal((await handOff(tenant)).status, 200);
    assert.deepEqual(tenant.env, { VOREL_BASE_URL: tenant.baseUrl, VOREL_API_KEY: tenant.key, VOREL_LEAD_ID: tenant.lead });
    assert.deepEqual(tenant.headers, { Authorization: `Bearer ${tenant.key}` });
    assert.equal(tenant.leads.own.length, 2);
    assert.equal((await tenant.handoffs()).length, 1);
    assert.equal((await tenant.auditLog()).length, 1);
    assert.deepEqual(await tenant.crmRecords(), []);
    const states = await tenant.leadStates();
    assert.equal(states.find((lead) => lead.id === tenant.lead)?.conversation_status, "awaiting_human");
  });

  it("has a clock of its own", async () => {
    const tenant = await newTenant({ rate_limit: 1 });
    const frozen = await tenant.clock.freeze();
    assert.deepEqual([(await handOff(tenant)).status, (await handOff(tenant)).status], [200, 429]);
    const later = await tenant.clock.advance("61s");
    assert.equal(later.getTime() - frozen.getTime(), 61_000);
    assert.equal((await handOff(tenant)).status, 200);
    const to = new Date("2040-01-01T00:00:00Z");
    assert.deepEqual(await tenant.clock.set(to), to);
    assert.deepEqual(await tenant.clock.read(), { now: to, frozen: true });
    assert.equal((await mock.clock.read()).frozen, false);
    await tenant.clock.resume();
    assert.equal((await tenant.clock.read()).frozen, false);
  });

  it("verifies what came, and shows the nearest request if none did", async () => {
    const tenant = await newTenant();
    const mark = await tenant.requests.mark();
    await handOff(tenant);
    const [exchange] = await tenant.requests.verify({ operation: "handoffLead", lead: tenant.lead, exactly: 1 });
    assert.equal(exchange?.response.status, 200);
    await tenant.requests.verify([{ operation: "handoffLead" }, { operation: "createCrmRecord", never: true }]);
    assert.equal((await tenant.requests.list({ since: mark })).length, 1);
    await tenant.requests.verify({ never: true }, { since: exchange.id });
    await assert.rejects(tenant.requests.verify({ operation: "handoffLead", body: { reason: "mine" } }), (error: Error) => {
      const [first, expected, nearest, request, difference] = error.message.split("\n");
      assert.equal(error.name, "AssertionError");
      assert.doesNotMatch(error.stack!, /dist.requests\.js/);
      assert.equal(first, "no request matches; at least 1 must");
      assert.equal(expected, 'expected: {"operation":"handoffLead","body":{"reason":"mine"}}');
      assert.equal(nearest, "nearest of 1:");
      assert.equal(request, `  ${exchange.id} POST /api/v1/leads/${tenant.lead}/handoff -> 200`);
      assert.equal(difference, '    body.reason: wanted "mine", found absent');
      return true;
    });
    await assert.rejects(tenant.requests.verify({ exactly: 1, never: true }), ControlError);
  });

  it("has faults that hit its own requests only", async () => {
    const [tenant, other] = [await newTenant(), await newTenant()];
    const armed = await tenant.faults.arm("unavailable", { next: 2 });
    assert.deepEqual([(await handOff(tenant)).status, (await handOff(other)).status], [503, 200]);
    assert.deepEqual((await tenant.faults.list()).map((fault) => [fault.fault, fault.met]), [["unavailable", 1]]);
    await tenant.faults.disarm(armed);
    assert.equal((await handOff(tenant)).status, 200);
    await tenant.faults.arm("unavailable", { every: 1 });
    await tenant.faults.clear();
    assert.equal((await handOff(tenant)).status, 200);
    assert.ok((await mock.faults()).some((fault) => fault.id === "unavailable"));
  });

  it("has stubs that the contract must allow", async () => {
    const tenant = await newTenant();
    const stub = await tenant.stubs.add({ status: 404 }, { lead: tenant.lead, headers: { "X-No": null }, nth: 2 });
    assert.deepEqual([(await handOff(tenant)).status, (await handOff(tenant)).status], [200, 404]);
    assert.deepEqual(await tenant.stubs.list(), [await tenant.stubs.get(stub.id)]);
    assert.equal((await tenant.stubs.get(stub)).spent, true);
    assert.match(lines(await tenant.requests.list()), /-> 404 {2}stub \S+; operation: a stub asks for 404/);
    await tenant.stubs.remove(stub);
    await assert.rejects(
      tenant.stubs.add({ status: 409, body: { error: {} } }, { operation: "handoffLead" }),
      (error: ControlError) => error.status === 400 && error.message.includes("declares no 409 for handoffLead"),
    );
    await tenant.stubs.add({ status: 409, body: "no" }, { operation: "handoffLead" }, { unlawful: true, times: 1 });
    assert.equal(await (await handOff(tenant)).text(), "no");
    await tenant.stubs.clear();
    assert.deepEqual(await tenant.stubs.list(), []);
  });

  it("has a journal that can be waited for", async () => {
    const tenant = await newTenant();
    const waiting = tenant.requests.wait({ operation: "handoffLead", status: 200, timeout: "10s" });
    await handOff(tenant);
    const [exchange] = await waiting;
    assert.equal(exchange?.response.status, 200);
    assert.equal(exchange?.explanation.decided_by, "operation");
    assert.equal(await tenant.requests.count({ status: 404 }), 0);
    assert.equal((await tenant.requests.list({ since: new Date(0) })).length, 1);
    await tenant.requests.clear();
    assert.equal(await tenant.requests.count(), 0);
    await assert.rejects(tenant.requests.wait({ timeout: "10ms" }), (error: ControlError) => error.status === 408);
  });

  it("can be changed, and be what it was", async () => {
    const tenant = await newTenant();
    const key = await tenant.mintKey({ scopes: ["leads:write"] });
    const lead = await tenant.addLead({ name: "Ann Lee" });
    assert.equal(tenant.leads.own.at(-1), lead.id);
    assert.equal((await handOff(tenant, key.token)).status, 200);
    await tenant.revokeKey(key);
    assert.equal((await handOff(tenant, key.token)).status, 401);
    assert.equal((await tenant.patch({ rate_limit: 7 })).rate_limit, 7);
    await tenant.reset();
    assert.ok(!tenant.leads.own.includes(lead.id));
  });

  it("can be what a test needs before it begins", async () => {
    const tenant = await newTenant({ leads: 2 });
    const [first, second] = tenant.leads.own as [string, string];
    assert.equal((await tenant.changeLead(first, { conversation_status: "closed" })).conversation_status, "closed");
    assert.equal((await tenant.addHandoff({ lead_id: first })).lead_id, first);
    await tenant.addCrmRecord({ object: "contact", fields: { last_name: "Lee" }, idempotency_key: "seeded" });
    const fork = await tenant.fork();
    tenants.push(fork);
    await tenant.deleteLead(second);
    assert.deepEqual(tenant.leads.own, [first]);
    assert.notEqual(fork.key, tenant.key);
    assert.deepEqual([(await fork.leadStates()).length, (await tenant.leadStates()).length], [2, 1]);
    assert.deepEqual([(await fork.handoffs()).length, (await fork.crmRecords()).length], [1, 1]);
  });

  it("is gone once it is deleted, and may be deleted twice", async () => {
    const tenant = await newTenant();
    await tenant.delete();
    await tenant.delete();
    assert.equal((await handOff(tenant)).status, 401);
  });

  it("says which setting is wrong", async () => {
    await assert.rejects(mock.newTenant({ rate_limit: -1 }), (error: ControlError) => {
      assert.equal(error.status, 400);
      assert.match(error.message, /rate_limit/);
      return true;
    });
    const tenant = await newTenant({ leads: 0, keys: { full: 0 } });
    assert.throws(() => tenant.key, /no key with every scope; create it with keys/);
    assert.throws(() => tenant.lead, /no lead; create it with leads: 1/);
    await assert.rejects(tenant.clock.advance("61"), /by: must be a duration with its unit/);
    await assert.rejects(tenant.clock.advance(61 as unknown as string), /by: must be a duration with its unit/);
  });
});

describe("webhooks", () => {
  it("arrive, with a right signature", async () => {
    const tenant = await newTenant();
    const inbox = await tenant.webhooks.receive();
    const handoff = (await (await handOff(tenant)).json()) as { handoff_id: string };
    const event = await inbox.next("conversation.handoff_requested");
    assert.equal(event.data["handoff_id"], handoff.handoff_id);
    assert.equal((await tenant.webhooks.wait({ event: "conversation.handoff_requested" })).state, "delivered");
    assert.equal(inbox.events[0]?.event, "webhook.test");
    await assert.rejects(
      inbox.next(undefined, { timeout: "20ms" }),
      /no event arrived within 20ms; accepted so far: 1 webhook.test, 1 conversation.handoff_requested/,
    );
  });

  it("of any event can be published", async () => {
    const tenant = await newTenant();
    const inbox = await tenant.webhooks.receive({ events: ["booking.created"] });
    const published = await tenant.publish("booking.created");
    assert.equal(published.deliveries.length, 1);
    assert.deepEqual((await inbox.next("booking.created")).data, published.data);
    await assert.rejects(tenant.publish("booking.created", { no: "booking" }), (error: ControlError) => error.status === 400);
  });

  it("with a wrong signature are rejected", async () => {
    const tenant = await newTenant();
    await using inbox = await tenant.webhooks.receive({ events: ["conversation.handoff_requested"] });
    await handOff(tenant);
    await inbox.next();
    const [delivery] = (await tenant.webhooks.deliveries()).filter((one) => one.event !== "webhook.test");
    await tenant.webhooks.redeliver(delivery!, { tampered: true });
    await tenant.webhooks.wait({ state: "failed" });
    assert.equal(inbox.rejected, 1);
    await assert.rejects(inbox.next(undefined, { timeout: "1ms" }), /1 rejected, for a wrong signature/);
  });

  it("that fail are tried again, on the clock of the tenant", async () => {
    const tenant = await newTenant();
    await tenant.clock.freeze();
    const inbox = await tenant.webhooks.receive();
    inbox.status = 500;
    await handOff(tenant);
    while (inbox.rejected === 0) await setTimeout(5);
    while ((await tenant.webhooks.deliveries()).at(-1)?.attempts.length === 0) await setTimeout(5);
    await assert.rejects(inbox.next(undefined, { timeout: "1ms" }), /is pending \(last attempt: 500, due at/);
    inbox.status = undefined;
    await tenant.clock.advance("1d");
    assert.equal((await inbox.next()).event, "conversation.handoff_requested");
    await inbox.close();
    await inbox.close();
  });

  it("two that are waited for at once are two", async () => {
    const tenant = await newTenant();
    const inbox = await tenant.webhooks.receive();
    const both = Promise.all([inbox.next(), inbox.next()]);
    await handOff(tenant);
    await handOff(tenant);
    const [one, two] = await both;
    assert.notEqual(one.id, two.id);
  });

  it("need an allowed host", async () => {
    const tenant = await newTenant();
    await assert.rejects(
      tenant.webhooks.receive({ host: "receiver.example" }),
      (error: ControlError) => error.status === 400 && /receiver\.example|--webhook-host/.test(error.message),
    );
  });

  it("can be checked by a consumer", () => {
    const signature = createHmac("sha256", "secret").update("{}").digest("hex");
    assert.ok(verifySignature("secret", "{}", signature));
    assert.ok(!verifySignature("secret", "{ }", signature));
    for (const wrong of [undefined, "", "é", [signature], signature.toUpperCase()]) {
      assert.ok(!verifySignature("secret", "{}", wrong));
    }
  });
});

describe("the mock", () => {
  it("is the one of VOREL_MOCK_URL, and is left running", () => {
    const script = 'import { start } from "vorel-mock"; const m = await start(); await m.stop(); console.log((await m.health()).status)';
    assert.equal(node(script, { VOREL_MOCK_URL: mock.baseUrl }).out, "ok");
  });

  it("that is told nothing to start with is explained", () => {
    const script = 'import { start } from "vorel-mock"; await start().catch((error) => console.log(error.message))';
    const missing = node(script, { VOREL_MOCK_URL: "", VOREL_MOCK_COMMAND: "", PATH: "/nonexistent" }).out;
    assert.match(missing, /^vorel-mock is not installed. Run `pip install vorel-mock`/);
    assert.match(
      node(script, { VOREL_MOCK_URL: "", VOREL_MOCK_COMMAND: "/no/such/mock" }).out,
      /^VOREL_MOCK_COMMAND: there is no \/no\/such\/mock\. vorel-mock is not installed/,
    );
    assert.match(
      node(script, { VOREL_MOCK_URL: "http://127.0.0.1:9" }).out,
      /^VOREL_MOCK_URL: the mock at http:\/\/127\.0\.0\.1:9 cannot be reached\. Is vorel-mock running there\?$/,
    );
    assert.match(node(script, { VOREL_MOCK_URL: "localhost:3000" }).out, /^VOREL_MOCK_URL: must be a URL such as/);
  });

  it("shows why it does not start", async () => {
    const command = mockCommand();
    await assert.rejects(start({ command, args: ["--seed", "none"] }), /ended at its start with code 2:\n[\s\S]*--seed/);
    await assert.rejects(start({ command: [process.execPath, "-e", "setTimeout(() => {}, 9e9)"], timeout: "100ms" }), /ended|did not start within 100ms/);
    await assert.rejects(start({ command: ["/no/such/mock"] }), /^Error: command: there is no \/no\/such\/mock/);
    await assert.rejects(start({ command: [import.meta.dirname] }), /cannot be run: .*EACCES/);
  });

  for (const end of ["", "process.kill(process.pid, 'SIGKILL')"]) {
    it(`ends with the program that started it ${end}`, async () => {
      const script = `import { start } from "vorel-mock"; import { writeSync } from "node:fs";
        writeSync(1, (await start({ command: ${JSON.stringify(mockCommand())} })).baseUrl); ${end}`;
      const { out, status } = node(script);
      assert.equal(status, end ? null : 0);
      assert.match(out, /^http:\/\/127\.0\.0\.1:\d+$/);
      const ended = () => connect(out).then(() => false, () => true);
      while (!(await ended())) await setTimeout(20);
    });
  }

  it("may require a token", async () => {
    const command = mockCommand();
    const args = ["--host", "0.0.0.0"];
    const guarded = await start({ command, args, controlToken: "only-for-this-test" });
    try {
      assert.equal((await guarded.health()).status, "ok");
      await assert.rejects(connect(guarded.baseUrl), /has a control token; send it as Bearer; set VOREL_MOCK_CONTROL_TOKEN/);
      assert.equal((await (await connect(guarded.baseUrl, { controlToken: "only-for-this-test" })).health()).status, "ok");
      await assert.rejects(connect(guarded.baseUrl, { controlToken: "two words" }), /controlToken: must be printable/);
    } finally {
      await guarded.stop();
      await guarded.stop();
    }
  });

  it("is told from another server", async () => {
    const server = createServer((request, response) => response.end(request.url?.startsWith("/json") ? "{}" : "<html>"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const path of ["", "/json"]) await assert.rejects(connect(url + path), /^ControlError: the server at \S+ is not vorel-mock/);
    server.close();
    await assert.rejects(connect("ftp://127.0.0.1"), /must be a URL such as/);
  });
});

function mockCommand(): [string] {
  return [process.env["VOREL_MOCK_COMMAND"] ?? "vorel-mock"];
}
