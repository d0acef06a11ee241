/** A receiver of webhooks for a test. It checks signatures, and returns the events one by one. */

import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { clearTimeout, type Duration, type EventName, milliseconds, setTimeout } from "./connection.js";
import type { Subscription, Webhooks } from "./webhooks.js";

/** Bytes of a webhook. */
const MAX_BODY = 1024 * 1024;
const TEST_EVENT = "webhook.test";

/** A webhook that arrived with a right signature. */
export interface WebhookEvent {
  id: string;
  event: string;
  data: Record<string, unknown>;
  [member: string]: unknown;
}

export interface ReceiverOptions {
  /** The events to subscribe to; all by default. */
  events?: readonly EventName[];
  /**
   * The name by which the mock reaches this machine, if the mock runs elsewhere. The receiver then listens on all
   * addresses, and the mock must allow the name: `vorel-mock --webhook-host NAME`. By default 127.0.0.1.
   */
  host?: string;
}

export class Receiver {
  /** The status of every response from now on. undefined: 200, and 401 if the signature is wrong. */
  status: number | undefined;
  /** Milliseconds before each response from now on. */
  delay = 0;
  /** The accepted events in order of arrival, test events and duplicates included. */
  readonly events: WebhookEvent[] = [];
  /** How many webhooks were answered with another status than 2xx. */
  rejected = 0;
  readonly url: string;
  #subscription: Subscription | undefined;
  readonly #server: Server;
  readonly #webhooks: Webhooks;
  readonly #onClose: (closed: Receiver) => void;
  readonly #taken = new Set<WebhookEvent>();
  readonly #arrivals = new Set<() => void>();
  #closed = false;

  private constructor(server: Server, url: string, webhooks: Webhooks, onClose: (closed: Receiver) => void) {
    this.#server = server;
    this.url = url;
    this.#webhooks = webhooks;
    this.#onClose = onClose;
  }

  /** Start, and subscribe. `tenant.webhooks.receive()` calls it. */
  static async open(webhooks: Webhooks, options: ReceiverOptions, onClose: (closed: Receiver) => void): Promise<Receiver> {
    const server = createServer();
    server.listen(0, options.host === undefined ? "127.0.0.1" : undefined);
    await once(server, "listening");
    server.unref(); // a test that does not close it can end
    const { port } = server.address() as AddressInfo;
    const receiver = new Receiver(server, `http://${options.host ?? "127.0.0.1"}:${port}/`, webhooks, onClose);
    // The test event may arrive before the response that has the secret.
    const subscribed = webhooks.subscribe(receiver.url, options.events);
    server.on("request", (request, response) => void receiver.#respond(request, response, subscribed));
    try {
      receiver.#subscription = await subscribed;
    } catch (error) {
      receiver.#stop();
      throw error;
    }
    return receiver;
  }

  /** Its subscription. */
  get subscription(): Subscription {
    return this.#subscription!;
  }

  /**
   * Return the next accepted event that was not returned yet. `event` is its name; undefined: any except the test event,
   * with which each subscription begins. Throws Error after `timeout` (5s); the message lists what arrived.
   */
  async next(event?: EventName | typeof TEST_EVENT, options: { timeout?: Duration } = {}): Promise<WebhookEvent> {
    const timeout = options.timeout ?? "5s";
    const patience = milliseconds("timeout", timeout);
    const wanted = (candidate: WebhookEvent) =>
      !this.#taken.has(candidate) && (event === undefined ? candidate.event !== TEST_EVENT : candidate.event === event);
    const found = await new Promise<WebhookEvent | undefined>((resolve) => {
      const look = () => {
        const candidate = this.events.find(wanted);
        if (candidate) this.#taken.add(candidate); // now, so that two calls at once get two events
        if (candidate) end(candidate);
      };
      const end = (candidate?: WebhookEvent) => {
        clearTimeout(timer);
        this.#arrivals.delete(look);
        resolve(candidate);
      };
      const timer = setTimeout(end, patience);
      this.#arrivals.add(look);
      look();
    });
    if (found) return found;
    throw new Error(await this.#whatCameInstead(event ?? "event", timeout));
  }

  /** End the subscription and the server. It is no error if they have ended. */
  async close(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#webhooks.unsubscribe(this.subscription);
    } catch {
      // The tenant, or the whole mock, is gone, and the subscription with it.
    } finally {
      this.#stop();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #stop(): void {
    this.#closed = true;
    this.#server.close();
    this.#server.closeAllConnections();
    this.#onClose(this);
  }

  async #respond(request: IncomingMessage, response: ServerResponse, subscribed: Promise<Subscription>): Promise<void> {
    try {
      const body = await readBody(request);
      const { secret } = await subscribed;
      const status = body === undefined ? 413 : this.#take(body, request.headers["x-webhook-signature"], secret);
      if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
      response.writeHead(status, { Connection: "close" }).end();
    } catch {
      response.destroy(); // the sender went away, or the subscription failed, which `open` reports
    }
  }

  #take(body: Buffer, header: string | string[] | undefined, secret: string): number {
    const genuine = verifySignature(secret, body, header);
    const status = this.status ?? (genuine ? 200 : 401);
    if (genuine && status >= 200 && status < 300) {
      this.events.push(JSON.parse(body.toString()) as WebhookEvent);
      for (const look of [...this.#arrivals]) look();
    } else {
      this.rejected += 1;
    }
    return status;
  }

  async #whatCameInstead(wanted: string, timeout: Duration): Promise<string> {
    const counts = new Map<string, number>();
    for (const { event } of this.events) counts.set(event, (counts.get(event) ?? 0) + 1);
    const came = [...counts].map(([name, count]) => `${count} ${name}`).join(", ") || "nothing";
    const told = [`no ${wanted} arrived within ${timeout}`, `accepted so far: ${came}`];
    if (this.rejected) told.push(`${this.rejected} rejected, for a wrong signature or by the status of the receiver`);
    const sent = await this.#webhooks.deliveries().catch(() => []);
    const left = sent
      .filter((delivery) => delivery.webhook_id === this.subscription.id && delivery.state !== "delivered")
      .map(({ event, state, attempts, due_at }) => {
        const last = attempts.at(-1);
        const words = last ? [`last attempt: ${last.error ?? last.status}`] : [];
        if (due_at) words.push(`due at ${due_at} on the tenant's clock`);
        return `${event} is ${state}${words.length ? ` (${words.join(", ")})` : ""}`;
      });
    if (left.length) told.push(`not delivered: ${left.join(", ")}`);
    return told.join("; ");
  }
}

/**
 * Return true if `header` (X-Webhook-Signature) is the signature of the body, as it arrived. Compares in constant time.
 * For a consumer of your own, too.
 */
export function verifySignature(secret: string, body: Uint8Array | string, header: string | string[] | undefined): boolean {
  if (typeof header !== "string") return false;
  const expected = Buffer.from(createHmac("sha256", secret).update(body).digest("hex"));
  const given = Buffer.from(header);
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** Return the body, undefined if it is too long. Throws if the sender goes away. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= MAX_BODY) chunks.push(chunk);
  }
  return length <= MAX_BODY ? Buffer.concat(chunks) : undefined;
}
