"""Latencies counted in logarithmic buckets: small, mergeable, and any percentile within 1 %.

Every power of two is cut into 64 buckets of equal width, so a bucket is at most 1/64 as wide as
its least value, and its middle at most 0.8 % from anything in it (the layout of HdrHistogram).
Below 128 ns each value has a bucket of its own. Integers only: the same latency is in the same
bucket on every machine and for ever, as buckets are what lasts in the database.
"""

import struct
from array import array
from collections.abc import Iterable
from typing import Final

SUB_BUCKET_BITS: Final = 6
LONGEST_NS: Final = (1 << 52) - 1
"""52 days. What lasts longer is counted in the last bucket; the sum stays exact."""

BUCKETS: Final = ((52 - SUB_BUCKET_BITS) << SUB_BUCKET_BITS) + (1 << SUB_BUCKET_BITS)

_HEAD: Final = struct.Struct("<BQQQ")  # version, count, sum in ns: low and high 64 bits
_VERSION: Final = 1


def bucket_of(latency_ns: int) -> int:
    """Return the index of the bucket of *latency_ns*; negative ones count as 0."""
    if latency_ns < 128:
        return max(latency_ns, 0)
    if latency_ns > LONGEST_NS:
        return BUCKETS - 1
    shift = latency_ns.bit_length() - 7
    return (shift << SUB_BUCKET_BITS) + (latency_ns >> shift)


def middle_of(bucket: int) -> float:
    """Return the latency in ns that stands for all of *bucket*."""
    shift = max((bucket >> SUB_BUCKET_BITS) - 1, 0)
    least = (bucket - (shift << SUB_BUCKET_BITS)) << shift
    return least + ((1 << shift) - 1) / 2


class Histogram:
    """How many latencies fell into each bucket, and their exact sum."""

    __slots__ = ("_counts", "count", "sum_ns")

    def __init__(self, latencies_ns: Iterable[int] = ()) -> None:
        self.count = 0
        self.sum_ns = 0
        self._counts: dict[int, int] = {}
        for latency_ns in latencies_ns:
            self.add(bucket_of(latency_ns), 1, max(latency_ns, 0))

    @classmethod
    def of_counts(cls, counts: dict[int, int], sum_ns: int) -> "Histogram":
        """Return the one of *counts*, by bucket and none of them 0, and the sum of all latencies."""
        histogram = cls()
        histogram.count, histogram.sum_ns, histogram._counts = sum(counts.values()), sum_ns, counts
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (self.count, self.sum_ns, self._counts) == (other.count, other.sum_ns, other._counts)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Histogram: {self.count} latencies in {len(self._counts)} buckets>"

    def add(self, bucket: int, count: int, sum_ns: int) -> None:
        """Count *count* more latencies of *bucket*, *sum_ns* together."""
        self.count += count
        self.sum_ns += sum_ns
        self._counts[bucket] = self._counts.get(bucket, 0) + count

    def merge(self, other: "Histogram") -> None:
        """Count all of *other* too, as if its latencies had been counted here."""
        self.count += other.count
        self.sum_ns += other.sum_ns
        counts = self._counts
        for bucket, count in other._counts.items():
            counts[bucket] = counts.get(bucket, 0) + count

    def average_ns(self) -> float:
        """Return the exact mean; 0 of nothing."""
        return self.sum_ns / self.count if self.count else 0.0

    def percentile_ns(self, percent: int) -> float:
        """Return the nearest-rank percentile, within 1 % of exact; 0 of nothing.

        That is the least latency such that at least *percent* of 100 are no greater.
        """
        rank = max(-(-percent * self.count // 100), 1)
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= rank:
                return middle_of(bucket)
        return 0.0

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads: a head, then the buckets' indices, then their counts."""
        buckets = sorted(self._counts)
        indices, counts = array("H", buckets), array("Q", (self._counts[bucket] for bucket in buckets))
        head = _HEAD.pack(_VERSION, self.count, self.sum_ns & (1 << 64) - 1, self.sum_ns >> 64)
        return head + _little_endian(indices).tobytes() + _little_endian(counts).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Histogram":
        """Return the histogram that `to_bytes` wrote. Raises ValueError where *data* is none."""
        size = (len(data) - _HEAD.size) // 10
        if len(data) < _HEAD.size or data[0] != _VERSION or len(data) != _HEAD.size + 10 * size:
            raise ValueError("these bytes are no histogram of a version that is known here")
        histogram = cls()
        _, histogram.count, low, high = _HEAD.unpack_from(data)
        histogram.sum_ns = (high << 64) + low
        indices, counts = array("H"), array("Q")
        indices.frombytes(data[_HEAD.size : _HEAD.size + 2 * size])
        counts.frombytes(data[_HEAD.size + 2 * size :])
        histogram._counts = dict(zip(_little_endian(indices), _little_endian(counts), strict=True))
        return histogram


def _little_endian(numbers: "array[int]") -> "array[int]":
    """Return *numbers* in the byte order of the stored form, or back in the machine's own."""
    if struct.pack("=H", 1) != struct.pack("<H", 1):
        numbers.byteswap()
    return numbers
