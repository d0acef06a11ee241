/** A tenant: keys, leads, limits, faults, stubs, webhooks, journal and clock that no other test sees. */

import { Clock } from "./clock.js";
import { type Connection, ControlError, type Duration, type EventName, type Schemas } from "./connection.js";
import { Faults } from "./faults.js";
import type { Receiver } from "./receiver.js";
import { Requests } from "./requests.js";
import { Stubs } from "./stubs.js";
import { Webhooks } from "./webhooks.js";

/** Settings of a new tenant, all optional: rate_limit, crm, leads, … */
export type TenantSettings = Schemas["NewTenant"];
type Profile = Schemas["TenantTarget"];

export class Tenant {
  readonly id: string;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly requests: Requests;
  readonly stubs: Stubs;
  readonly webhooks: Webhooks;
  readonly #connection: Connection;
  readonly #path: readonly string[];
  readonly #receivers = new Set<Receiver>();
  #profile: Profile;

  constructor(connection: Connection, profile: Profile) {
    this.id = profile.id;
    this.#connection = connection;
    this.#profile = profile;
    this.#path = ["tenants", this.id];
    this.clock = new Clock(connection, ...this.#path);
    this.faults = new Faults(connection, this.#path);
    this.requests = new Requests(connection, this.#path);
    this.stubs = new Stubs(connection, this.#path);
    this.webhooks = new Webhooks(connection, this.#path, this.#receivers);
  }

  /** The URL of the API. */
  get baseUrl(): string {
    return this.#profile.base_url;
  }

  /** Its keys by role. */
  get keys(): Profile["keys"] {
    return this.#profile.keys;
  }

  /** Its leads, and those of another tenant. */
  get leads(): Profile["leads"] {
    return this.#profile.leads;
  }

  /** The first key with every scope. Throws if the tenant was created without one. */
  get key(): string {
    return first(this.keys.full, "key with every scope; create it with keys: { full: 1 }");
  }

  /** The id of its first lead. Throws if the tenant was created without one. */
  get lead(): string {
    return first(this.leads.own, "lead; create it with leads: 1, or add one with addLead()");
  }

  /** The headers of a request with `key`. */
  get headers(): { Authorization: string } {
    return { Authorization: `Bearer ${this.key}` };
  }

  /** Environment variables for a program under test: { ...process.env, ...tenant.env }. */
  get env(): { VOREL_BASE_URL: string; VOREL_API_KEY: string; VOREL_LEAD_ID?: string } {
    const [lead] = this.leads.own;
    return { VOREL_BASE_URL: this.baseUrl, VOREL_API_KEY: this.key, ...(lead === undefined ? {} : { VOREL_LEAD_ID: lead }) };
  }

  /** Create a key with these scopes; `token` is the key itself. */
  mintKey(settings: Schemas["NewKey"]): Promise<Schemas["MintedKey"]> {
    return this.#ask("POST", ["keys"], settings);
  }

  /** Revoke a key, given by its id, such as `full_1` or `leads_only`. */
  async revokeKey(key: { id: string } | string): Promise<void> {
    await this.#ask("DELETE", ["keys", typeof key === "string" ? key : key.id]);
  }

  /** Add a lead with a conversation. Its id joins `leads.own`. */
  async addLead(settings: Schemas["NewLead"] = {}): Promise<Schemas["Lead"]> {
    const lead = await this.#ask<Schemas["Lead"]>("POST", ["leads"], settings);
    this.leads.own.push(lead.id);
    return lead;
  }

  /** Change a lead: its name, or the status of its conversation. The events that belong to it are published. */
  changeLead(lead: string, settings: Schemas["LeadChange"]): Promise<Schemas["Lead"]> {
    return this.#ask("PATCH", ["leads", lead], settings);
  }

  /** Delete a lead. Its id leaves `leads.own`. */
  async deleteLead(lead: string): Promise<void> {
    await this.#ask("DELETE", ["leads", lead]);
    this.leads.own = this.leads.own.filter((id) => id !== lead);
  }

  /** Add a handoff that was there before the test. */
  addHandoff(handoff: Schemas["NewHandoff"]): Promise<Schemas["Handoff"]> {
    return this.#ask("POST", ["handoffs"], handoff);
  }

  /** Add a record to its CRM that was there before the test. */
  addCrmRecord(record: Schemas["NewCrmRecord"]): Promise<Schemas["CrmRecord"]> {
    return this.#ask("POST", ["crm-records"], record);
  }

  /**
   * Publish an event to the subscriptions: signed, delivered and retried as any other. Without `data` it has an example.
   * Returns the event with its deliveries. Throws ControlError if the data does not have the schema of the event.
   */
  publish(event: EventName, data?: Record<string, unknown>): Promise<Schemas["PublishedEvent"]> {
    return this.#ask("POST", ["events"], data === undefined ? { event } : { event, data });
  }

  /** Return its leads, each with the status of its conversation. */
  async leadStates(): Promise<Schemas["Lead"][]> {
    return (await this.#ask<Schemas["LeadList"]>("GET", ["leads"])).data;
  }

  /** Return the handoffs, oldest first. */
  async handoffs(): Promise<Schemas["Handoff"][]> {
    return (await this.#ask<Schemas["HandoffList"]>("GET", ["handoffs"])).data;
  }

  /** Return the audit log, oldest first. */
  async auditLog(): Promise<Schemas["AuditRow"][]> {
    return (await this.#ask<Schemas["AuditRowList"]>("GET", ["audit-log"])).data;
  }

  /** Return the records in its CRM, with canonical and with vendor names. */
  async crmRecords(): Promise<Schemas["CrmRecord"][]> {
    return (await this.#ask<Schemas["CrmRecordList"]>("GET", ["crm-records"])).data;
  }

  /** Change settings. Objects merge, and null removes (JSON Merge Patch). Returns all settings. */
  patch(settings: Schemas["TenantChange"]): Promise<Schemas["Tenant"]> {
    return this.#ask("PATCH", [], settings);
  }

  /** Create a tenant that is what this one is now, under keys of its own. Delete it, as any other. */
  async fork(): Promise<Tenant> {
    return new Tenant(this.#connection, await this.#connection.ask("POST", ["tenants"], { json: { fork: this.id } }));
  }

  /** Restore the initial state; the clock stays. Receivers are closed, because their subscriptions are gone. */
  async reset(): Promise<void> {
    await this.#closeReceivers();
    await this.#ask("POST", ["reset"]);
    this.#profile = { ...(await this.#ask<Schemas["Target"]>("GET", ["target"])), id: this.id };
  }

  /** Delete the tenant and close its receivers. It is no error if it was deleted already. */
  async delete(): Promise<void> {
    await this.#closeReceivers();
    try {
      await this.#ask("DELETE", []);
    } catch (error) {
      if (!(error instanceof ControlError && error.status === 404)) throw error;
    }
  }

  /** Close its receivers, and have the mock delete the tenant after `ttl` without a request: to look at it. */
  async leaveBehind(ttl: Duration = "1h"): Promise<void> {
    await this.#closeReceivers();
    await this.patch({ ttl });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.delete();
  }

  async #closeReceivers(): Promise<void> {
    for (const receiver of [...this.#receivers]) await receiver.close();
  }

  #ask<T>(method: string, path: readonly string[], json?: unknown): Promise<T> {
    return this.#connection.ask(method, [...this.#path, ...path], { json });
  }
}

function first(values: readonly string[], what: string): string {
  const [value] = values;
  if (value === undefined) throw new Error(`this tenant has no ${what}`);
  return value;
}
