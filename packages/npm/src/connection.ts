/** HTTP requests to the control plane, and their errors. */

import type { components } from "./control-document.js";

/** The schemas of the control plane, as its document has them. */
export type Schemas = components["schemas"];

/** The name of an event. */
export type EventName = Schemas["NewWebhook"]["events"][number];

/** A duration as the control plane writes it: 61s, 2h, 1h30m, 500ms. */
export type Duration = string;

/** As they are now: this package is a guest in tests, whose fake timers and mocked fetch are not meant for it. */
export const { fetch, setTimeout, clearTimeout } = globalThis;

/** Milliseconds that the mock has for a response, and that a wait has beyond its own timeout. */
const TIMEOUT = 30_000;
const SLACK = 10_000;
/** Milliseconds that moving a clock may take: it waits for webhook attempts that become due. */
export const SETTLING = 120_000;

/** The control plane rejected a request (`status`, `code`), or could not be reached (`unreachable`). */
export class ControlError extends Error {
  override readonly name = "ControlError";

  constructor(
    /** The status of the response; undefined if there was none. */
    readonly status: number | undefined,
    readonly code: string,
    message: string,
    /** The body of the response. */
    readonly body?: unknown,
  ) {
    super(message);
  }
}

/** A connection to the control plane below `baseUrl`. */
export class Connection {
  readonly baseUrl: string;
  readonly #headers: Record<string, string>;
  #events: Promise<EventName[]> | undefined;

  /** Throws TypeError if the URL or the token is invalid. */
  constructor(baseUrl: string, token: string | undefined) {
    this.baseUrl = checkedUrl(baseUrl);
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
      throw new TypeError("controlToken: must be printable ASCII without spaces");
    }
    this.#headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  }

  /**
   * Send a request to /_mock and these segments. Returns the JSON of the response, undefined for 204.
   * Throws ControlError for an error.
   */
  async ask<T>(
    method: string,
    path: readonly string[],
    options: { json?: unknown; query?: Record<string, unknown>; within?: number } = {},
  ): Promise<T> {
    const url = new URL([`${this.baseUrl}/_mock`, ...path.map(encodeURIComponent)].join("/"));
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined && value !== null) {
        url.searchParams.set(name, value instanceof Date ? value.toISOString() : String(value));
      }
    }
    const within = options.within ?? TIMEOUT;
    const request: RequestInit = { method, headers: this.#headers, signal: AbortSignal.timeout(within) };
    if (options.json !== undefined) {
      request.body = JSON.stringify(options.json);
      request.headers = { ...this.#headers, "Content-Type": "application/json" };
    }
    let status: number;
    let text: string;
    try {
      const response = await fetch(url, request);
      status = response.status;
      text = await response.text();
    } catch (error) {
      const late = error instanceof DOMException && error.name === "TimeoutError";
      const problem = late ? `did not respond within ${within / 1000} s` : "cannot be reached. Is vorel-mock running there?";
      throw new ControlError(undefined, "unreachable", `the mock at ${this.baseUrl} ${problem}`);
    }
    return this.#read(status, text) as T;
  }

  /** Return the names of all events. */
  events(): Promise<EventName[]> {
    this.#events ??= this.ask<Schemas["EventKindList"]>("GET", ["events"]).then(({ data }) =>
      data.map((kind) => kind.event as EventName),
    );
    return this.#events;
  }

  #read(status: number, text: string): unknown {
    let body: unknown;
    try {
      body = text === "" ? undefined : JSON.parse(text);
    } catch {
      throw new ControlError(status, "no_mock", `the server at ${this.baseUrl} is not vorel-mock (${status})`);
    }
    if (status >= 200 && status < 300) return body;
    const error = (body as { error?: { code?: unknown; message?: unknown } } | undefined)?.error;
    if (typeof error?.message !== "string") {
      throw new ControlError(status, "no_mock", `the server at ${this.baseUrl} is not vorel-mock (${status})`, body);
    }
    const hint = status === 401 ? "; set VOREL_MOCK_CONTROL_TOKEN, or give controlToken" : "";
    throw new ControlError(status, String(error.code), error.message + hint, body);
  }
}

/** Return milliseconds for a request that waits in the mock: so that its response, not a timeout here, names the problem. */
export function beyond(timeout: Duration | undefined): number {
  return (timeout === undefined ? TIMEOUT : milliseconds("timeout", timeout)) + SLACK;
}

/** Return a duration in milliseconds. Throws TypeError, which names `argument`, if it is none. */
export function milliseconds(argument: string, duration: Duration): number {
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  if (typeof duration !== "string" || !/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(duration)) {
    throw new TypeError(`${argument}: must be a duration with its unit, such as "61s", "2h" or "500ms"`);
  }
  let sum = 0;
  for (const [, count, unit] of duration.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) sum += Number(count) * units[unit!]!;
  return sum;
}

function checkedUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError("baseUrl: must be a URL such as http://127.0.0.1:3000");
  }
  if (!/^https?:$/.test(url.protocol) || url.username || url.search || url.hash) {
    throw new TypeError("baseUrl: must be a URL such as http://127.0.0.1:3000, without user, query and fragment");
  }
  return url.href.replace(/\/+$/, "");
}
