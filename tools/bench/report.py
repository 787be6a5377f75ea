"""What the bench has to say, as data: tables, goals, and how they look on a terminal and in RESULTS.md."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Table:
    """Rows of text and numbers under heads. A number is shown with commas."""

    title: str
    heads: list[str]
    rows: list[list]
    notes: list[str] = field(default_factory=list)

    def cells(self) -> list[list[str]]:
        """-> the rows as text."""
        return [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in self.rows]

    def right(self, column: int) -> bool:
        """Is this a column of figures?"""
        return column > 0 and all(_is_figure(row[column]) for row in self.rows)

    def markdown(self) -> str:
        """Heading, table, notes."""
        marks = ["---:" if self.right(i) else "---" for i in range(len(self.heads))]
        lines = ["| " + " | ".join(row) + " |" for row in [self.heads, marks, *self.cells()]]
        return "\n".join([f"## {self.title}", "", *lines, *([""] if self.notes else []), *self.notes])


@dataclass
class Goal:
    """One promise of the issue and what was found."""

    what: str
    found: str
    wanted: str
    met: bool


def _is_figure(cell):
    return isinstance(cell, (int, float)) or cell == "-" or str(cell)[:1].isdigit()


def goal_table(goals: list[Goal]) -> Table:
    """-> the goals, missed ones first to be seen."""
    ordered = sorted(goals, key=lambda goal: goal.met)
    rows = [[goal.what, goal.found, goal.wanted, "met" if goal.met else "MISSED"] for goal in ordered]
    return Table("Goals", ["goal", "found", "wanted", ""], rows)


def page(command: str, facts: list[str], tables: list[Table], title: str = "Results of the bench") -> str:
    """-> RESULTS.md, or another page of its kind."""
    head = [
        f"# {title}",
        "",
        f"Written by `{command}`; do not edit. Ratios are meant, not absolutes: they are of one run on one machine.",
        "",
        *(f"- {fact}" for fact in facts),
    ]
    return "\n\n".join(["\n".join(head), *(table.markdown() for table in tables)]) + "\n"


def show(tables: list[Table]) -> None:
    """Print tables to the terminal."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(highlight=False, width=None)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    for table in tables:
        shown = RichTable(title=table.title, title_justify="left", header_style="bold")
        for i, head in enumerate(table.heads):
            shown.add_column(head, justify="right" if table.right(i) else "left")
        for cells in table.cells():
            shown.add_row(*cells, style="bold red" if cells[-1] == "MISSED" else None)
        console.print(shown)
        for note in table.notes:
            console.print(note, markup=False)
