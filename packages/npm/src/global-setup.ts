/**
 * One mock for a whole run: `globalSetup: "vorel-mock/global-setup"` in the configuration of vitest, or
 * `require.resolve("vorel-mock/global-setup")` in that of Playwright. Without it, each worker starts its own.
 */

import { start } from "./start.js";
import { MOCK_OF_RUN } from "./test-end.js";

export default async function setup(): Promise<() => Promise<void>> {
  const runsOn = process.env["VOREL_MOCK_URL"];
  const mock = await start();
  if (!runsOn) process.env[MOCK_OF_RUN] = mock.baseUrl;
  process.env["VOREL_MOCK_URL"] = mock.baseUrl; // workers inherit it, and `start` connects to it there
  return () => mock.stop();
}
