/** The journal of a tenant: the requests with one of its keys, and the reason for each response. */

import { AssertionError } from "node:assert";
import { beyond, type Connection, ControlError, type Schemas } from "./connection.js";
import type { operations } from "./control-document.js";

/** A request, its response and the explanation; redacted. */
export type Exchange = Schemas["Exchange"];
type Query = NonNullable<operations["listTenantRequests"]["parameters"]["query"]>;
/** What a request must have, and how many must have come: at least one, unless it says otherwise. */
export type ExpectedRequest = Omit<Schemas["ExpectedRequest"], "since">;
/** Filters of the journal. `since` is a mark, or as `until` a time on the tenant's clock. */
export type Filters = Omit<Query, "since" | "until"> & { since?: string | Date; until?: string | Date };

export class Requests {
  readonly #connection: Connection;
  readonly #path: readonly string[];

  constructor(connection: Connection, tenant: readonly string[]) {
    this.#connection = connection;
    this.#path = [...tenant, "requests"];
  }

  /** Return the exchanges that match, oldest first. */
  async list(filters: Filters = {}): Promise<Exchange[]> {
    return (await this.#found(filters)).data;
  }

  /** Return the number of exchanges that match. */
  async count(filters: Filters = {}): Promise<number> {
    return (await this.#found({ ...filters, limit: 1 })).total;
  }

  /** Wait until `count` exchanges match, and return them. Throws ControlError 408 after `timeout` (10s; at most 60s). */
  async wait(wanted: Schemas["RequestWait"] = {}): Promise<Exchange[]> {
    const path = [...this.#path, "wait"];
    const within = beyond(wanted.timeout);
    return (await this.#connection.ask<Schemas["ExchangeList"]>("POST", path, { json: wanted, within })).data;
  }

  /** Return a mark: `since: mark` has `wait`, `verify`, `list` and `count` see only what comes from now on. */
  async mark(): Promise<string> {
    return (await this.#connection.ask<Schemas["Mark"]>("GET", ["requests", "mark"])).mark;
  }

  /**
   * Verify that such requests came; those of a list must have come in this order. Returns the exchanges that match.
   * Throws AssertionError, which shows the nearest requests and where they differ.
   */
  async verify(
    expected: ExpectedRequest | readonly ExpectedRequest[],
    options: { since?: string | Date } = {},
  ): Promise<Exchange[]> {
    const since = options.since instanceof Date ? options.since.toISOString() : options.since;
    const marked = (one: ExpectedRequest) => (since === undefined ? one : { ...one, since });
    const json = Array.isArray(expected) ? expected.map(marked) : marked(expected as ExpectedRequest);
    try {
      return (await this.#connection.ask<Schemas["ExchangeList"]>("POST", [...this.#path, "verify"], { json })).data;
    } catch (error) {
      if (!(error instanceof ControlError) || error.status !== 409) throw error;
      // The stack begins in the test, which is the line that runners show.
      throw new AssertionError({ message: missed(error.body as Schemas["NotVerified"]), stackStartFn: this.verify });
    }
  }

  /** Clear the journal of the tenant. */
  async clear(): Promise<void> {
    await this.#connection.ask("DELETE", this.#path);
  }

  #found(filters: Filters): Promise<Schemas["ExchangeList"]> {
    return this.#connection.ask("GET", this.#path, { query: filters });
  }
}

/** Return why a verification does not hold: what was expected, and the nearest requests with their differences. */
function missed({ problem, wanted, compared, nearest }: Schemas["NotVerified"]): string {
  const told = [problem];
  if (Object.keys(wanted).length) told.push(`expected: ${JSON.stringify(wanted)}`);
  if (!compared) told.push("no request came");
  if (nearest[0]) told.push(nearest[0].differences.length ? `nearest of ${compared}:` : "these match:");
  for (const { id, method, path, status, differences } of nearest) {
    told.push(`  ${id} ${method} ${path} -> ${status ?? "no answer"}`);
    for (const each of differences) told.push(`    ${each.place}: wanted ${each.wanted}, found ${each.found}`);
  }
  return told.join("\n");
}

/** Return a line for each exchange: request, status, and what decided it. For the report of a failing test. */
export function lines(exchanges: readonly Exchange[]): string {
  const line = ({ request, response, explanation, fault, stub }: Exchange) =>
    `${request.method} ${request.path} -> ${response.status ?? "no answer"}  ` +
    `${fault ? `fault ${fault}; ` : ""}${stub ? `stub ${stub}; ` : ""}${explanation.decided_by}: ${explanation.rule}`;
  return exchanges.map(line).join("\n") || "none";
}
