/** `test` of Playwright with the fixtures `vorel`, a tenant for the test alone, and `vorelMock`, the mock of the worker. */

import { test as base } from "@playwright/test";
import type { Mock } from "./mock.js";
import { start } from "./start.js";
import type { Tenant, TenantSettings } from "./tenant.js";
import { end } from "./test-end.js";

export interface Fixtures {
  /** A tenant for this test alone. It is deleted at the end; a mock at VOREL_MOCK_URL keeps that of a failed test for an hour. */
  vorel: Tenant;
  /** Settings of `vorel`: test.use({ vorelSettings: { rate_limit: 2 } }). */
  vorelSettings: TenantSettings;
}

export interface WorkerFixtures {
  /** The mock of this worker: VOREL_MOCK_URL, or one that is started. */
  vorelMock: Mock;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  vorelMock: [
    async ({}, use) => {
      const mock = await start();
      await use(mock);
      await mock.stop();
    },
    { scope: "worker" },
  ],
  vorelSettings: [{}, { option: true }],
  vorel: async ({ vorelMock, vorelSettings }, use, info) => {
    const tenant = await vorelMock.newTenant({ name: info.title.slice(0, 200), ...vorelSettings });
    await use(tenant);
    const failed = info.status !== info.expectedStatus;
    await end(tenant, failed, (title, body) => info.attach(title, { body, contentType: "text/plain" }));
  },
});

export { expect } from "@playwright/test";
