/** The clock of a tenant, or of the whole mock. It moves forward only. */

import { type Connection, ControlError, type Duration, milliseconds, type Schemas, SETTLING } from "./connection.js";

export class Clock {
  readonly #connection: Connection;
  readonly #path: readonly string[];

  constructor(connection: Connection, ...path: string[]) {
    this.#connection = connection;
    this.#path = [...path, "clock"];
  }

  /** Return its time, and whether it is frozen. */
  async read(): Promise<{ now: Date; frozen: boolean }> {
    const { now, frozen } = await this.#connection.ask<Schemas["Clock"]>("GET", this.#path);
    return { now: new Date(now), frozen };
  }

  /** Freeze it. Returns its time. */
  freeze(): Promise<Date> {
    return this.#change({ freeze: true });
  }

  /** Resume it. Returns its time. */
  resume(): Promise<Date> {
    return this.#change({ resume: true });
  }

  /**
   * Advance it by `61s` or `2h`. Returns its new time. All webhook attempts that became due have been made then.
   * Throws ControlError `not_settled` if receivers are too slow for that; the clock has moved nevertheless.
   */
  async advance(by: Duration): Promise<Date> {
    milliseconds("by", by);
    return this.#change({ advance: by });
  }

  /** Advance it to a time, as `advance` does. Returns its new time. */
  set(to: Date | string): Promise<Date> {
    return this.#change({ set: typeof to === "string" ? to : to.toISOString() });
  }

  async #change(json: Schemas["ClockChange"]): Promise<Date> {
    const within = SETTLING;
    const clock = await this.#connection.ask<Schemas["ChangedClock"]>("POST", this.#path, { json, within });
    if (clock.settled === false) {
      const message = `the clock shows ${clock.now}, but webhook attempts that are due by then have not been made: a receiver is too slow`;
      throw new ControlError(200, "not_settled", message, clock);
    }
    return new Date(clock.now);
  }
}
