"""The metrics, read by the parser that Prometheus itself publishes for Python."""

from __future__ import annotations

import neonhub
from prometheus_client.parser import text_string_to_metric_families


def test_a_stock_parser_reads_every_line(hub: neonhub.Hub) -> None:
    hub.people.list()
    hub.jobs.work()
    text = hub.telemetry.metrics()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert sum(len(family.samples) for family in families.values()) == len(lines)
    queries = families["database_query_duration_seconds"]
    assert queries.type == "histogram" and queries.documentation == "Time of store calls."
    buckets = [s for s in queries.samples if s.name.endswith("_bucket") and s.labels["op"] == "get"]
    counts = [s.value for s in queries.samples if s.name.endswith("_count") and s.labels["op"] == "get"]
    assert sum(counts) > 0
    assert sum(b.value for b in buckets if b.labels["le"] == "+Inf") == sum(counts)
