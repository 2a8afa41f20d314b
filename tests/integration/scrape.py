"""A client of `/_rgate/metrics`, which reads it by the official parsers."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tests.integration.gateway import Gateway, Response, get

Values = dict[str, dict[tuple[str, ...], float]]
"""What each sample says, by its name and the values of its labels in the order of their names."""


def values_of(response: Response) -> Values:
    """Return what *response* says. Fails where it is none, or says one thing twice."""
    assert response.status == 200, response
    is_open = response.fields["Content-Type"].startswith("application/openmetrics-text")
    found: Values = {}
    metrics: Iterable[Metric] = (open_metrics if is_open else prometheus)(response.body.decode())
    for metric in metrics:
        for sample in metric.samples:
            labels = tuple(sample.labels[label] for label in sorted(sample.labels))
            assert labels not in found.setdefault(sample.name, {}), (sample.name, labels)
            found[sample.name][labels] = sample.value
    return found


def scraped(gateway: Gateway) -> Values:
    """Ask for the metrics, on a connection of its own: with several workers, any may answer."""
    return values_of(get(gateway.port, "/_rgate/metrics"))
