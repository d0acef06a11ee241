/** The stubs of a tenant: the responses that a test wishes for some requests. */

import type { Connection, Schemas } from "./connection.js";

export type Stub = Schemas["Stub"];
/** The requests that are meant. What is left out may be anything. */
export type StubRequest = Schemas["StubRequest"];
/** Either `status`, with headers, body and delay, or `fault`, with its options. */
export type StubResponse = Schemas["StubResponse"];

export class Stubs {
  readonly #connection: Connection;
  readonly #path: readonly string[];

  constructor(connection: Connection, tenant: readonly string[]) {
    this.#connection = connection;
    this.#path = [...tenant, "stubs"];
  }

  /**
   * Have the requests that match get a response, and nothing be done: all of them, or so many `times`.
   * Throws ControlError, with what the contract says, if it does not allow the response, unless `unlawful` is true.
   */
  add(
    response: StubResponse,
    request: StubRequest = {},
    options: Pick<Schemas["NewStub"], "times" | "unlawful"> = {},
  ): Promise<Stub> {
    return this.#connection.ask("POST", this.#path, { json: { ...options, request, response } });
  }

  /** Return the stubs, each with the requests that met it. */
  async list(): Promise<Stub[]> {
    return (await this.#connection.ask<Schemas["StubList"]>("GET", this.#path)).data;
  }

  /** Return one as it is now, given the result of `add` or its id. */
  get(stub: Stub | string): Promise<Stub> {
    return this.#connection.ask("GET", this.#of(stub));
  }

  /** Remove one, given the result of `add` or its id. */
  async remove(stub: Stub | string): Promise<void> {
    await this.#connection.ask("DELETE", this.#of(stub));
  }

  /** Remove all. */
  async clear(): Promise<void> {
    await this.#connection.ask("DELETE", this.#path);
  }

  #of(stub: Stub | string): string[] {
    return [...this.#path, typeof stub === "string" ? stub : stub.id];
  }
}
