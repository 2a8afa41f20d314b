"""Latencies counted in logarithmic buckets: small, mergeable, and any percentile within 1 %.

Every power of two is cut into 64 buckets of equal width, so a bucket is at most 1/64 as wide as
its least value, and its middle at most 0.8 % from anything in it (the layout of HdrHistogram).
Below 128 ns each value has a bucket of its own. Integers only: the same latency is in the same
bucket on every machine and for ever, as buckets are what lasts in the database.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

SUB_BUCKET_BITS: Final = 6
LONGEST_NS: Final = (1 << 52) - 1
"""52 days. What lasts longer is counted in the last bucket; the sum stays exact."""

BUCKETS: Final = ((52 - SUB_BUCKET_BITS) << SUB_BUCKET_BITS) + (1 << SUB_BUCKET_BITS)

_SPARSE: Final = struct.Struct("<BQQQ")  # 1, count, sum in ns: low and high 64 bits
_DENSE: Final = struct.Struct("<BBHHQQQ")  # 2, bytes of a count, first, how many, count, sum
_DIGIT: Final = 64
_LOW: Final = (1 << 64) - 1


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


def most_of(bucket: int) -> int:
    """Return the greatest latency in ns of *bucket*, but for the last, which has none."""
    shift = max((bucket >> SUB_BUCKET_BITS) - 1, 0)
    return ((bucket - (shift << SUB_BUCKET_BITS) + 1) << shift) - 1


class Histogram:
    """How many latencies fell into each bucket, and their exact sum.

    The counts are one number, in which that of a bucket is the 64-bit digit at its place: to merge is to
    add, which costs a tenth of what it does bucket by bucket. The first digit is that of the bucket *_base*,
    at which a power of two begins, the last one that is no greater than the least latency.
    """

    __slots__ = ("_base", "_digits", "count", "sum_ns")

    def __init__(self, latencies_ns: Iterable[int] = ()) -> None:
        self.count = 0
        self.sum_ns = 0
        self._base = 0
        self._digits = 0
        for latency_ns in latencies_ns:
            self.add(bucket_of(latency_ns), 1, max(latency_ns, 0))

    @classmethod
    def of_counts(cls, first: int, counts: "array[int]", sum_ns: int) -> "Histogram":
        """Return the one of *counts* (`Q`), of the bucket *first* and those behind it.

        The first of them is not 0, or *first* begins a power of two in which one is not. *sum_ns* is the sum
        of all latencies.
        """
        return cls._made(sum(counts), sum_ns, first, _little_endian(counts).tobytes())

    @classmethod
    def _made(cls, count: int, sum_ns: int, first: int, digits: bytes | bytearray) -> "Histogram":
        histogram = cls()
        histogram.count, histogram.sum_ns = count, sum_ns
        histogram._base = _base_of(first)
        histogram._digits = int.from_bytes(digits, "little") << _DIGIT * (first - histogram._base)
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.sum_ns == other.sum_ns and (self._base, self._digits) == (other._base, other._digits)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Histogram: {self.count} latencies in {len(self.counts())} buckets>"

    def add(self, bucket: int, count: int, sum_ns: int) -> None:
        """Count *count* more latencies of *bucket*, *sum_ns* together."""
        self._add(count, sum_ns, _base_of(bucket), count << _DIGIT * (bucket - _base_of(bucket)))

    def merge(self, other: "Histogram") -> None:
        """Count all of *other* too, as if its latencies had been counted here."""
        self._add(other.count, other.sum_ns, other._base, other._digits)

    def _add(self, count: int, sum_ns: int, base: int, digits: int) -> None:
        if base == self._base:
            self._digits += digits
        elif not self.count:
            self._base, self._digits = base, digits
        elif not count:
            return
        elif base > self._base:
            self._digits += digits << _DIGIT * (base - self._base)
        else:
            self._digits = (self._digits << _DIGIT * (self._base - base)) + digits
            self._base = base
        self.count += count
        self.sum_ns += sum_ns

    def counts(self) -> dict[int, int]:
        """Return how many latencies there are in each bucket that has any."""
        first, counts = self._counts()
        return {bucket: count for bucket, count in enumerate(counts, first) if count}

    def up_to(self, buckets: Iterable[int]) -> tuple[int, ...]:
        """Return how many latencies there are in each of *buckets* or before it."""
        first, counts = self._counts()
        seen = [0, *accumulate(counts)]
        return tuple(seen[min(max(bucket - first + 1, 0), len(counts))] for bucket in buckets)

    def _counts(self) -> "tuple[int, array[int]]":
        """Return the counts from the first bucket that has any to the last, and which is the first."""
        if not self._digits:
            return 0, array("Q")
        empty = ((self._digits & -self._digits).bit_length() - 1) // _DIGIT
        digits = self._digits >> _DIGIT * empty
        counts = array("Q", digits.to_bytes(-(-digits.bit_length() // _DIGIT) * 8, "little"))
        return self._base + empty, _little_endian(counts)

    def average_ns(self) -> float:
        """Return the exact mean; 0 of nothing."""
        return self.sum_ns / self.count if self.count else 0.0

    def percentile_ns(self, percent: int) -> float:
        """Return the nearest-rank percentile, within 1 % of exact; 0 of nothing.

        That is the least latency such that at least *percent* of 100 are no greater.
        """
        return self.percentiles_ns(percent)[0]

    def percentiles_ns(self, *percents: int) -> tuple[float, ...]:
        """Return each of these percentiles."""
        if not self.count:
            return (0.0,) * len(percents)
        first, counts = self._counts()
        seen = list(accumulate(counts))
        ranks = (max(-(-percent * self.count // 100), 1) for percent in percents)
        return tuple(middle_of(first + bisect_left(seen, rank)) for rank in ranks)

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads: a head, then the counts from the first to the last that is none
        of 0, each in as many bytes as the greatest needs. Where most of them are 0, the buckets' indices
        and their counts instead.
        """
        first, counts = self._counts()
        width = next(width for width in (1, 2, 4, 8) if not max(counts, default=0) >> 8 * width)
        full = len(counts) - counts.count(0)
        if 10 * full < width * len(counts):
            return self._sparse_bytes()
        head = _DENSE.pack(2, width, first, len(counts), self.count, self.sum_ns & _LOW, self.sum_ns >> 64)
        wide, narrow = _little_endian(counts).tobytes(), bytearray(width * len(counts))
        for place in range(width):
            narrow[place::width] = wide[place::8]
        return head + narrow

    def _sparse_bytes(self) -> bytes:
        stored = self.counts()
        indices, counts = array("H", stored.keys()), array("Q", stored.values())
        head = _SPARSE.pack(1, self.count, self.sum_ns & _LOW, self.sum_ns >> 64)
        return head + _little_endian(indices).tobytes() + _little_endian(counts).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Histogram":
        """Return the histogram that `to_bytes` wrote. Raises ValueError where *data* is none."""
        if data[:1] == b"\1" and len(data) >= _SPARSE.size and not (len(data) - _SPARSE.size) % 10:
            return cls._from_sparse(data)
        if data[:1] != b"\2" or len(data) < _DENSE.size:
            raise ValueError("these bytes are no histogram of a version that is known here")
        _, width, first, length, count, low, high = _DENSE.unpack_from(data)
        narrow = data[_DENSE.size :]
        if width not in (1, 2, 4, 8) or len(narrow) != width * length:
            raise ValueError("these bytes are no histogram: its counts are cut off")
        wide = bytearray(8 * length)
        for place in range(width):
            wide[place::8] = narrow[place::width]
        return cls._made(count, (high << 64) + low, first, wide)

    @classmethod
    def _from_sparse(cls, data: bytes) -> "Histogram":
        size = (len(data) - _SPARSE.size) // 10
        _, count, low, high = _SPARSE.unpack_from(data)
        indices, counts = array("H"), array("Q")
        indices.frombytes(data[_SPARSE.size : _SPARSE.size + 2 * size])
        counts.frombytes(data[_SPARSE.size + 2 * size :])
        buckets = _little_endian(indices)
        first = buckets[0] if buckets else 0
        digits = array("Q", bytes(8 * (buckets[-1] - first + 1 if buckets else 0)))
        for bucket, number in zip(buckets, counts, strict=True):
            digits[bucket - first] = number
        return cls._made(count, (high << 64) + low, first, digits.tobytes())


def _base_of(bucket: int) -> int:
    """Return where the power of two begins that *bucket* is in."""
    return bucket >> SUB_BUCKET_BITS << SUB_BUCKET_BITS


def _little_endian(numbers: "array[int]") -> "array[int]":
    """Return *numbers* in the byte order of the stored form, or back in the machine's own."""
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers
