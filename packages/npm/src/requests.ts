/** The journal of a tenant: the requests with one of its keys, and the reason for each response. */

import { beyond, type Connection, type Schemas } from "./connection.js";
import type { operations } from "./control-document.js";

/** A request, its response and the explanation; redacted. */
export type Exchange = Schemas["Exchange"];
type Query = NonNullable<operations["listTenantRequests"]["parameters"]["query"]>;
/** Filters of the journal. `since` and `until` are times on the tenant's clock. */
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

  /** Clear the journal of the tenant. */
  async clear(): Promise<void> {
    await this.#connection.ask("DELETE", this.#path);
  }

  #found(filters: Filters): Promise<Schemas["ExchangeList"]> {
    return this.#connection.ask("GET", this.#path, { query: filters });
  }
}

/** Return a line for each exchange: request, status, and what decided it. For the report of a failing test. */
export function lines(exchanges: readonly Exchange[]): string {
  const line = ({ request, response, explanation, fault, stub }: Exchange) =>
    `${request.method} ${request.path} -> ${response.status ?? "no answer"}  ` +
    `${fault ? `fault ${fault}; ` : ""}${stub ? `stub ${stub}; ` : ""}${explanation.decided_by}: ${explanation.rule}`;
  return exchanges.map(line).join("\n") || "none";
}
