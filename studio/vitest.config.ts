import { defineConfig } from "vitest/config";

// Pure functions only: what a page does is tested in a real browser, against a real server.
export default defineConfig({ test: { include: ["tests/*.test.ts"], setupFiles: ["tests/page.ts"] } });
