/** What the fixtures of vitest and Playwright do with the tenant of a test at its end. */

import { ControlError } from "./connection.js";
import { lines } from "./requests.js";
import type { Tenant } from "./tenant.js";

/** The URL of the mock that ends with the run: set by global-setup, unless it uses one that runs on. */
export const MOCK_OF_RUN = "VOREL_RUN_MOCK_URL";
/** Tenants of failed tests that a worker leaves on a mock that runs on. */
const MOST_LEFT = 20;
let left = 0;

/** Delete the tenant. If the test has failed, report its requests first; and leave the tenant on a mock that runs on. */
export async function end(
  tenant: Tenant,
  failed: boolean,
  report: (title: string, text: string) => void | Promise<void>,
): Promise<void> {
  if (!failed) return tenant.delete();
  const url = process.env["VOREL_MOCK_URL"];
  const runsOn = url && url !== process.env[MOCK_OF_RUN] && left < MOST_LEFT;
  let text: string;
  try {
    text = lines(await tenant.requests.list({ limit: 50 }));
    if (runsOn) {
      await tenant.leaveBehind();
      left += 1;
      text += `\nkept for an hour: ${tenant.baseUrl}/_mock/console/requests?tenant=${tenant.id}`;
    }
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    text = `not available: ${error.message}`; // the test itself may have deleted the tenant
  }
  await report(`vorel-mock: requests of tenant ${tenant.id}`, text);
  if (!runsOn) await tenant.delete();
}
