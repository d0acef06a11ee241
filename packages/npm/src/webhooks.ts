/** The webhooks of a tenant: subscriptions, receivers and deliveries. */

import { beyond, type Connection, type EventName, type Schemas } from "./connection.js";
import { Receiver, type ReceiverOptions } from "./receiver.js";

/** A subscription; `secret` is the key of its signatures. */
export type Subscription = Schemas["SubscribedWebhook"];
/** A delivery with all its attempts. */
export type Delivery = Schemas["Delivery"];

export class Webhooks {
  readonly #connection: Connection;
  readonly #tenant: readonly string[];
  readonly #receivers: Set<Receiver>;

  /** `receivers` are those of the tenant, which closes them when it is deleted. */
  constructor(connection: Connection, tenant: readonly string[], receivers: Set<Receiver>) {
    this.#connection = connection;
    this.#tenant = tenant;
    this.#receivers = receivers;
  }

  /**
   * Start a receiver and subscribe it, to all events by default: `const inbox = await tenant.webhooks.receive()`.
   * It ends with the tenant, or by `close()`.
   */
  async receive(options: ReceiverOptions = {}): Promise<Receiver> {
    const receiver = await Receiver.open(this, options, (closed) => this.#receivers.delete(closed));
    this.#receivers.add(receiver);
    return receiver;
  }

  /** Subscribe `target_url` to events, all by default. A test event is sent first. */
  async subscribe(target_url: string, events?: readonly EventName[]): Promise<Subscription> {
    const json = { target_url, events: events ?? (await this.#connection.events()) };
    return this.#connection.ask("POST", [...this.#tenant, "webhooks"], { json });
  }

  /** End a subscription, given as it is or by its id. */
  async unsubscribe(subscription: { id: string } | string): Promise<void> {
    const id = typeof subscription === "string" ? subscription : subscription.id;
    await this.#connection.ask("DELETE", [...this.#tenant, "webhooks", id]);
  }

  /** Return the deliveries, oldest first. */
  async deliveries(): Promise<Delivery[]> {
    return (await this.#connection.ask<Schemas["DeliveryList"]>("GET", [...this.#tenant, "deliveries"])).data;
  }

  /** Return a mark: `wait({ since: mark })` sees only deliveries that are made from now on. */
  async mark(): Promise<string | undefined> {
    const query = { limit: 1 };
    return (await this.#connection.ask<Schemas["DeliveryList"]>("GET", [...this.#tenant, "deliveries"], { query })).data[0]?.id;
  }

  /** Wait for a delivery that matches (`delivered` by default). Throws ControlError 408 after `timeout` (10s; at most 60s). */
  wait(wanted: Omit<Schemas["DeliveryWait"], "since"> & { since?: string | undefined } = {}): Promise<Delivery> {
    const within = beyond(wanted.timeout);
    return this.#connection.ask("POST", [...this.#tenant, "deliveries", "wait"], { json: wanted, within });
  }

  /** Send a delivery again. `tampered` signs another body. */
  redeliver(delivery: { id: string }, options: Schemas["Redelivery"] = {}): Promise<Delivery> {
    return this.#connection.ask("POST", [...this.#tenant, "deliveries", delivery.id, "redeliver"], { json: options });
  }
}
