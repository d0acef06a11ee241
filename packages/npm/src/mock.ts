/** A running mock. */

import { Clock } from "./clock.js";
import { Connection, ControlError, type Schemas } from "./connection.js";
import { Tenant, type TenantSettings } from "./tenant.js";

export interface ConnectOptions {
  /** The control token, if the mock requires one. By default that of VOREL_MOCK_CONTROL_TOKEN. */
  controlToken?: string;
}

export class Mock {
  readonly baseUrl: string;
  /** The clock that tenants follow which have not moved their own. */
  readonly clock: Clock;
  readonly #connection: Connection;
  readonly #stop: () => Promise<void>;

  constructor(connection: Connection, stop: () => Promise<void> = async () => {}) {
    this.baseUrl = connection.baseUrl;
    this.#connection = connection;
    this.#stop = stop;
    this.clock = new Clock(connection);
  }

  /** Create a tenant. Throws ControlError if a setting is invalid; the message names it. */
  async newTenant(settings: TenantSettings = {}): Promise<Tenant> {
    return new Tenant(this.#connection, await this.#connection.ask("POST", ["tenants"], { json: settings }));
  }

  /** Return version, contract, seed and clock. */
  health(): Promise<Schemas["Health"]> {
    return this.#connection.ask("GET", ["health"]);
  }

  /** Return the target profile of the demo tenants: base URL, keys, leads. */
  target(): Promise<Schemas["Target"]> {
    return this.#connection.ask("GET", ["target"]);
  }

  /** Return the catalogue of faults. */
  async faults(): Promise<Schemas["Fault"][]> {
    return (await this.#connection.ask<Schemas["FaultList"]>("GET", ["faults"])).data;
  }

  /** Stop the mock if `start` started it. It is no error if it has stopped. */
  stop(): Promise<void> {
    return this.#stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Connect to a mock that runs. Throws ControlError if there is none, or if it requires a token. */
export async function connect(baseUrl: string, options: ConnectOptions = {}): Promise<Mock> {
  const token = options.controlToken ?? (process.env["VOREL_MOCK_CONTROL_TOKEN"] || undefined);
  const mock = new Mock(new Connection(baseUrl, token));
  if ((await mock.health())?.status !== "ok") {
    throw new ControlError(200, "no_mock", `the server at ${mock.baseUrl} is not vorel-mock`);
  }
  return mock;
}
