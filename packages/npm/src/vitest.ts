/** `test` of vitest with the fixtures `vorel`, a tenant for the test alone, and `vorelMock`, the mock of the worker. */

import { test as base } from "vitest";
import type { Mock } from "./mock.js";
import { lines } from "./requests.js";
import { start } from "./start.js";
import type { Tenant, TenantSettings } from "./tenant.js";

export interface Fixtures {
  /** A tenant for this test alone. It is deleted at the end. */
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
    if (task.result?.state === "fail") {
      console.error(`vorel-mock: requests of tenant ${tenant.id}\n${lines(await tenant.requests.list({ limit: 50 }))}`);
    }
    await tenant.delete();
  },
});

export const it = test;
export { afterAll, afterEach, beforeAll, beforeEach, describe, expect, vi } from "vitest";
