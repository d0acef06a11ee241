/** The faults of a tenant. `mock.faults()` lists the catalogue. */

import type { Connection, Schemas } from "./connection.js";

/** The id of a fault of the catalogue. */
export type FaultId = Schemas["NewFault"]["fault"];
export type ArmedFault = Schemas["ArmedFault"];

export class Faults {
  readonly #connection: Connection;
  readonly #path: readonly string[];

  constructor(connection: Connection, tenant: readonly string[]) {
    this.#connection = connection;
    this.#path = [...tenant, "faults"];
  }

  /** Arm a fault: for the next request, unless `next`, `every` or `chance` says more. */
  arm(fault: FaultId, options: Omit<Schemas["NewFault"], "fault"> = {}): Promise<ArmedFault> {
    return this.#connection.ask("POST", this.#path, { json: { ...options, fault } });
  }

  /** Return the armed faults, and how many requests each has met. */
  async list(): Promise<ArmedFault[]> {
    return (await this.#connection.ask<Schemas["ArmedFaultList"]>("GET", this.#path)).data;
  }

  /** Disarm one, given the result of `arm` or its id. */
  async disarm(armed: ArmedFault | string): Promise<void> {
    await this.#connection.ask("DELETE", [...this.#path, typeof armed === "string" ? armed : armed.id]);
  }

  /** Disarm all. */
  async clear(): Promise<void> {
    await this.#connection.ask("DELETE", this.#path);
  }
}
