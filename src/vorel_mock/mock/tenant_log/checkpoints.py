"""Checkpoints: a tenant as a log keeps it, around the snapshot that the control plane exports."""

from collections.abc import Callable
from typing import Any

import msgspec

from vorel_mock.mock import snapshot
from vorel_mock.mock.tenant_log.entries import FORMAT, Checkpoint, decode_checkpoint
from vorel_mock.mock.tenant_log.interface import LogError
from vorel_mock.model import tenant_state
from vorel_mock.model.clock import Clock, Timeline
from vorel_mock.model.lease import Lease
from vorel_mock.model.tenant import Tenant

_encode = msgspec.msgpack.Encoder().encode


def capture(tenant: Tenant, at: float) -> Callable[[], bytes]:
    """Capture a tenant as of `at`, with the lock held. What is returned writes the checkpoint, without."""
    finish = tenant_state.capture(tenant)
    offset, frozen_at = tenant.clock.position
    initial, ttl = tenant.initial, None if tenant.lease is None else tenant.lease.seconds

    def written() -> bytes:
        before = None if initial is None else snapshot.dump(initial)
        return _encode(Checkpoint(at, offset, frozen_at, ttl, b"".join(snapshot.pieces(finish())), before))

    return written


def read(tenant_id: str, content: bytes, timeline: Timeline, reader: Callable[[Any], Tenant]) -> tuple[Tenant, float]:
    """Return the tenant of a checkpoint, which no store holds yet, and the time of the checkpoint. Raises LogError."""
    try:
        checkpoint = decode_checkpoint(content)
        if checkpoint.format != FORMAT:
            raise LogError(f"tenant {tenant_id}: was written by another version of vorel-mock ({checkpoint.format})")
        tenant = reader(msgspec.json.decode(checkpoint.snapshot))
        if checkpoint.initial is not None:
            tenant.initial = reader(msgspec.json.decode(checkpoint.initial))
            tenant.initial.id = tenant_id
    except (msgspec.MsgspecError, ValueError) as error:
        raise LogError(f"tenant {tenant_id}: its checkpoint cannot be read: {error}") from error
    tenant.id = tenant_id
    tenant.clock = Clock(timeline)
    tenant.clock.take_position(checkpoint.offset, checkpoint.frozen_at)
    if checkpoint.ttl is not None:
        tenant.lease = Lease(checkpoint.ttl)
    return tenant, checkpoint.at
