import { expect, test } from "vorel-mock/playwright";

test("a test has a tenant of its own", async ({ vorel, request }) => {
  const url = `${vorel.baseUrl}/api/v1/leads/${vorel.lead}/handoff`;
  const answer = await request.post(url, { headers: vorel.headers, data: { reason: "no-response-7d" } });
  expect(answer.status()).toBe(200);
  expect(await vorel.handoffs()).toHaveLength(1);
});

test("its tenant is deleted at its end", async ({ vorelMock }) => {
  expect((await vorelMock.health()).tenants).toBe((await vorelMock.target()).tenants?.length);
});

test.describe("with settings", () => {
  test.use({ vorelSettings: { rate_limit: 1 } });

  test("the tenant has them", async ({ vorel, request }) => {
    await vorel.clock.freeze();
    const url = `${vorel.baseUrl}/api/v1/leads/${vorel.lead}/handoff`;
    const statuses = [];
    for (const _ of [1, 2]) statuses.push((await request.post(url, { headers: vorel.headers })).status());
    expect(statuses).toEqual([200, 429]);
  });
});

test("a test that fails lists its requests", async ({ vorel, request }) => {
  test.skip(!process.env["FAIL"]);
  await request.post(`${vorel.baseUrl}/api/v1/leads/no-uuid/handoff`, { headers: vorel.headers });
  expect(1).toBe(2);
});
