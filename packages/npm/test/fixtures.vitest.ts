import type { Tenant } from "vorel-mock";
import { describe, expect, test, vi } from "vorel-mock/vitest";

const handOff = (vorel: Tenant, lead = vorel.lead) =>
  fetch(`${vorel.baseUrl}/api/v1/leads/${lead}/handoff`, { method: "POST", headers: vorel.headers });

const ids = new Set<string>();

describe.each(["one", "another"])("%s test", () => {
  test("has a tenant of its own", async ({ vorel, vorelMock }) => {
    expect((await handOff(vorel)).status).toBe(200);
    expect(await vorel.handoffs()).toHaveLength(1);
    expect(vorel.baseUrl).toBe(vorelMock.baseUrl);
    expect(ids.has(vorel.id)).toBe(false);
    ids.add(vorel.id);
  });
});

test("the tenant of a test is deleted at its end", async ({ vorelMock }) => {
  expect(ids.size).toBe(2);
  expect((await vorelMock.health()).tenants).toBe((await vorelMock.target()).tenants?.length);
});

describe("with settings", () => {
  test.override({ vorelSettings: { rate_limit: 1 } });

  test("the tenant has them", async ({ vorel }) => {
    await vorel.clock.freeze();
    expect([(await handOff(vorel)).status, (await handOff(vorel)).status]).toEqual([200, 429]);
  });
});

describe("a guest", () => {
  test("does not wait for fake timers", async ({ vorel }) => {
    vi.useFakeTimers();
    try {
      const inbox = await vorel.webhooks.receive();
      const fetched = vi.spyOn(globalThis, "fetch").mockRejectedValue(new Error("mocked"));
      await expect(inbox.next(undefined, { timeout: "20ms" })).rejects.toThrow("no event arrived within 20ms");
      expect(fetched).not.toHaveBeenCalled();
    } finally {
      vi.useRealTimers();
      vi.restoreAllMocks();
    }
  });
});

test.runIf(process.env["FAIL"])("that fails lists its requests", async ({ vorel }) => {
  expect((await handOff(vorel, "no-uuid")).status).toBe(200);
});
