"""The report of a demo: what was done, and whether it was right."""

import json
from collections import Counter
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from cli.demo.dead import DeadGroup

_TOP = 20


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of one demo."""

    files: int
    messages: int
    counts: Counter[str]
    reference: Counter[str]
    maxsize: int
    max_pending: int
    consumers: int
    producers: int
    kills: int
    recovered: int
    dead: int
    dead_groups: list[DeadGroup]
    seconds: float
    stop_words: int
    dictionary_versions: int
    torn_reads: int
    longest_read_wait: float
    longest_write_wait: float

    @property
    def right(self) -> bool:
        """Whether everything is as it has to be."""
        return self.exact and self.bounded and not self.torn_reads

    @property
    def exact(self) -> bool:
        """Whether the pipeline counted what a plain single-process count does."""
        return self.counts == self.reference

    @property
    def bounded(self) -> bool:
        """Whether pending never passed maxsize."""
        return not self.maxsize or self.max_pending <= self.maxsize

    @property
    def top(self) -> list[tuple[str, int]]:
        """The most frequent words, count descending, then word ascending."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_TOP]

    @property
    def rate(self) -> float:
        """Messages a second, from the first put to the last acknowledgement."""
        return self.messages / self.seconds if self.seconds else 0.0

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(
            {
                "files": self.files,
                "messages": self.messages,
                "words": self.counts.total(),
                "top": self.top,
                "exact": self.exact,
                "maxsize": self.maxsize,
                "max_pending": self.max_pending,
                "consumers": self.consumers,
                "producers": self.producers,
                "kills": self.kills,
                "recovered": self.recovered,
                "dead": self.dead,
                "dead_letters": [asdict(group) for group in self.dead_groups],
                "seconds": round(self.seconds, 3),
                "messages_per_second": round(self.rate, 1),
                "stop_words": self.stop_words,
                "dictionary_versions": self.dictionary_versions,
                "torn_reads": self.torn_reads,
                "longest_read_wait_seconds": round(self.longest_read_wait, 4),
                "longest_write_wait_seconds": round(self.longest_write_wait, 4),
            },
            ensure_ascii=False,
        )

    def show(self) -> None:
        """Print it for people."""
        console = Console(highlight=False)
        words = Table(
            title=f"the {len(self.top)} most frequent words", title_justify="left", box=None, show_header=False
        )
        for column in ("left", "right", "left", "right"):
            words.add_column(justify="right" if column == "right" else "left", min_width=10)
        half = -(-len(self.top) // 2)
        for left, right in zip(self.top[:half], [*self.top[half:], ("", 0)], strict=False):
            words.add_row(left[0], f"{left[1]:,}", right[0], f"{right[1]:,}" if right[0] else "")
        facts = Table(box=None, show_header=False)
        facts.add_column()
        facts.add_column(justify="right")
        for word, value in self._facts():
            facts.add_row(word, value)
        console.print(words, "", facts, "")
        console.print(self._verdict())
        if not self.exact:
            for group in self.dead_groups:
                console.print(f"  {group}", markup=False)

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("files", f"{self.files:,}"),
            ("messages", f"{self.messages:,}"),
            ("words", f"{self.counts.total():,}"),
            ("messages a second", f"{self.rate:,.0f}"),
            ("highest pending seen", f"{self.max_pending} of {self.maxsize or 'no bound'}"),
            ("producers, consumers", f"{self.producers}, {self.consumers}"),
            ("consumers killed", str(self.kills)),
            ("deliveries repeated", str(self.recovered)),
            ("dead letters", f"{self.dead:,}"),
            ("stop words", f"{self.stop_words:,}"),
            ("dictionary versions seen", str(self.dictionary_versions)),
            ("torn reads", str(self.torn_reads)),
            (
                "longest wait to read, to write",
                f"{1000 * self.longest_read_wait:,.0f}, {1000 * self.longest_write_wait:,.0f} ms",
            ),
        ]

    def _verdict(self) -> str:
        if not self.bounded:
            return f"[bold red]WRONG:[/] {self.max_pending} were pending, the bound is {self.maxsize}"
        if self.torn_reads:
            return f"[bold red]WRONG:[/] {self.torn_reads} reads saw two versions of the stop words at once"
        if not self.exact:
            differ = sum(
                self.counts[word] != self.reference[word] for word in self.counts.keys() | self.reference.keys()
            )
            return f"[bold red]WRONG:[/] {differ} words differ from a plain single-process count of the same files"
        return "[bold green]exact:[/] the counts equal those of a plain single-process count of the same files"
