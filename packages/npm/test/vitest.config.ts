import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["test/*.vitest.ts"], globalSetup: "vorel-mock/global-setup", testTimeout: 60_000 },
});
