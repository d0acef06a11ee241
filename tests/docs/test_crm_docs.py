"""docs/crm.md prints the tables as they are. `python tests/docs/test_crm_docs.py` writes them into it."""

import re

import pytest
from tests.paths import DOCS

from vorel_mock.model.crm import RESERVED_VALUES, VENDORS, Vendor, VendorObject

PAGE = DOCS / "crm.md"


def reserved_table() -> str:
    rows = [f"| `{row['value']}` | `{row['error']}` | {row['detail']} |" for row in RESERVED_VALUES]
    return "\n".join(["| value | error | detail |", "|---|---|---|", *rows])


def vendor_tables() -> str:
    return "\n\n".join(
        object_table(vendor, kind, target) for vendor in VENDORS.values() for kind, target in vendor.objects.items()
    )


def object_table(vendor: Vendor, kind: str, target: VendorObject) -> str:
    lines = [
        f"### {vendor.name} {target.name}: `{kind}`",
        "",
        f"In ids or URLs: `{target.code}`.",
        "",
        "| canonical | property | required | format | default |",
        "|---|---|---|---|---|",
    ]
    canonical = {row.property: row.canonical for row in target.fields}
    for row in target.fields:
        required = "yes" if row.required else ""
        for group in target.one_of:
            if row.property in group.properties:
                required = "one of " + ", ".join(f"`{canonical[name]}`" for name in group.properties)
                required += f", unless `{canonical[group.unless]}`" if group.unless else ""
        default = f"`{row.default}`" if row.default is not None else ""
        lines.append(f"| `{row.canonical}` | `{row.property}` | {required} | {row.format.name} | {default} |")
    return "\n".join(lines)


SECTIONS = {"reserved": reserved_table, "vendors": vendor_tables}


def written(page: str) -> str:
    """The page with every generated section as it should be."""
    for name, render in SECTIONS.items():
        begin, end = f"<!-- generated: {name} -->", "<!-- /generated -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{render()}\n{end}{after}"
    return page


def test_the_page_prints_the_tables() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "docs/crm.md is behind the tables: run python tests/docs/test_crm_docs.py"


@pytest.mark.parametrize("key", VENDORS)
def test_the_page_explains_every_format(key: str) -> None:
    explained = set(re.findall(r"^\| ([a-z -]+) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    for target in VENDORS[key].objects.values():
        assert {row.format.name for row in target.fields if " / " not in row.format.name} <= explained


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
