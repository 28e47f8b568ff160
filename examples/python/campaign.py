"""One brief becomes a gated multi-channel campaign, offline, on one file: the story in Python.

    python examples/python/campaign.py [--out DIR] [--brand DIR] [--brief FILE.toml] [--contacts FILE.csv] [--now T]

It needs the package (`pip install ./bindings/python`) and Python 3.11. With no option it runs on the bundled data
of a fictional coffee roaster. Run it again on the same out folder: nothing is sent twice.
"""

import argparse
import csv
import json
import tomllib
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import neonhub
from neonhub.errors import AlreadyExistsError
from neonhub.models import BriefSender, CampaignBrief, CampaignReport, Money

ENDINGS = {".pdf", ".docx", ".md", ".html", ".txt"}
DATA = Path(__file__).resolve().parent.parent / "data"


def read_brief(path: Path) -> CampaignBrief:
    """The brief of a TOML file; a day without a time is a whole day in the brief's zone."""
    fields: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    zone = ZoneInfo(fields["timezone"])
    for name, spare in (("start", timedelta(0)), ("end", timedelta(days=1, milliseconds=-1))):
        if type(fields[name]) is date:
            fields[name] = datetime.combine(fields[name], time(), zone) + spare
    fields["budget"] = Money(minor=fields["budget"]["amount"], currency=fields["budget"]["currency"])
    fields["sender"] = BriefSender(**fields["sender"])
    return CampaignBrief(**fields)


def run(hub: neonhub.Hub, brief: CampaignBrief, brand: Path, contacts: Path, out: Path) -> CampaignReport:
    """The campaign, one operation after the other."""
    campaign = hub.campaign.create(brief=brief)
    slug = hub.brands.get(brand=campaign.brand).slug
    with suppress(AlreadyExistsError):
        hub.spaces.create(name="brand-voice")
        hub.datasets.create(space="brand-voice", name="brand-voice")
    for file in sorted(path for path in brand.rglob("*") if path.suffix in ENDINGS):
        blob = hub.put_blob(file.read_bytes())
        name = file.relative_to(brand).as_posix()
        hub.documents.upload(dataset="brand-voice", name=name, blob=blob, tags=[f"brand:{slug}"])
    hub.voice.extract(brand=slug)
    imported = hub.people.import_.start(path=str(contacts))
    plan = hub.campaign.plan(id=campaign.id)
    for asset in hub.campaign.generate_assets(id=campaign.id):
        save(out / "assets" / asset.channel / f"{asset.step_key}.json", asset)
    if campaign.approval is None:
        hub.campaign.approve(id=campaign.id, plan_version=plan.version)
    sent_before = hub.campaign.report(id=campaign.id).sends.sent
    hub.campaign.start(id=campaign.id)
    hub.jobs.work()
    report = hub.campaign.report(id=campaign.id, import_=imported.id, sent_before=sent_before)
    save(out / "plan.json", plan)
    save(out / "report.json", report)
    (out / "report.html").write_text(hub.campaign.render_report(report=report).html, "utf-8")
    with (out / "rejected-contacts.csv").open("w", encoding="utf-8", newline="") as sheet:
        rows = csv.writer(sheet, lineterminator="\n")
        rows.writerow(["row", "field", "reason", "row_rejected"])
        for fault in hub.people.import_.errors(import_=imported.id, limit=500).items:
            rows.writerow([fault.row, fault.field, fault.reason, str(fault.row_rejected).lower()])
    return report


def save(path: Path, value: object) -> None:
    """Writes a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(neonhub.to_plain(value), indent=2, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="One brief becomes a gated multi-channel campaign.")
    parser.add_argument("--out", type=Path, default=Path("campaign-out"), help="where results are written")
    parser.add_argument("--brand", type=Path, default=DATA / "brand", help="folder of the brand's documents")
    parser.add_argument("--brief", type=Path, default=DATA / "brief.toml", help="the brief")
    parser.add_argument("--contacts", type=Path, default=DATA / "contacts.csv", help="the contacts")
    parser.add_argument("--now", help="the instant it runs at, RFC 3339 (default: now)")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with neonhub.open(given.out / "campaign.neon", outbox=given.out / "outbox") as hub:
        report = run(hub, read_brief(given.brief), given.brand, given.contacts, given.out)
    sends = report.sends
    print(f"{report.contacts.people} people, {report.knowledge.documents} documents, {sum(report.assets.values())} assets")
    print(f"{sends.allowed} allowed, {sends.deferred} deferred, {sends.denied} denied; {sends.sent_now} sent now")
    for line in report.reason_lines:
        print(f"  {line.count:5} {line.rule}: {line.meaning}")
    print(f"everything is in {given.out}")


if __name__ == "__main__":
    main()
