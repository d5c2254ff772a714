"""What holds for every test: Hypothesis measures no time, which on a busy machine says nothing about us."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("zarr_shard_codec", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("zarr_shard_codec")
