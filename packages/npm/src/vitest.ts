/** `test` of vitest with the fixtures `vorel`, a tenant for the test alone, and `vorelMock`, the mock of the worker. */

import { test as base } from "vitest";
import type { Mock } from "./mock.js";
import { start } from "./start.js";
import type { Tenant, TenantSettings } from "./tenant.js";
import { end } from "./test-end.js";

export interface Fixtures {
  /** A tenant for this test alone. It is deleted at the end; a mock at VOREL_MOCK_URL keeps that of a failed test for an hour. */
  vorel: Tenant;
  /** Settings of `vorel`. */
  vorelSettings: TenantSettings;
  /** The mock of this worker: VOREL_MOCK_URL, or one that is started. */
  vorelMock: Mock;
}

export const test = base.extend<Fixtures>({
  vorelMock: [
    async ({}, use) => {
      const mock = await start();
      await use(mock);
      await mock.stop();
    },
    { scope: "worker" },
  ],
  vorelSettings: {},
  vorel: async ({ vorelMock, vorelSettings, task }, use) => {
    const tenant = await vorelMock.newTenant({ name: task.name.slice(0, 200), ...vorelSettings });
    await use(tenant);
    await end(tenant, task.result?.state === "fail", (title, text) => console.error(`${title}\n${text}`));
  },
});

export const it = test;
export { afterAll, afterEach, beforeAll, beforeEach, describe, expect, vi } from "vitest";
