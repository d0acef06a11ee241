/**
 * Tests against a contract-true mock of the Vorel API.
 *
 *     const mock = await start();
 *     const tenant = await mock.newTenant({ rate_limit: 2 });
 */

export type { Clock } from "./clock.js";
export { ControlError, type Duration, type EventName, type Schemas } from "./connection.js";
export type { ArmedFault, FaultId, Faults } from "./faults.js";
export { connect, type ConnectOptions, type Mock } from "./mock.js";
export { type Receiver, type ReceiverOptions, verifySignature, type WebhookEvent } from "./receiver.js";
export { type Exchange, type ExpectedRequest, type Filters, lines, type Requests } from "./requests.js";
export { start, type StartOptions } from "./start.js";
export type { Stub, StubRequest, StubResponse, Stubs } from "./stubs.js";
export type { Tenant, TenantSettings } from "./tenant.js";
export type { Delivery, Subscription, Webhooks } from "./webhooks.js";
