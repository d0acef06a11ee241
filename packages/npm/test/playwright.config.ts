import { defineConfig } from "@playwright/test";

export default defineConfig({ testDir: ".", testMatch: "*.playwright.ts", workers: 1, reporter: "list", outputDir: "../build/playwright" });
