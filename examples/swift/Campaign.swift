// One brief becomes a gated multi-channel campaign, offline, on one file: the story in Swift.
//
//     swift run --package-path examples/swift Campaign [OUT] [DATA]
//
// It runs on the bundled data of a fictional coffee roaster. Run it again on the same out folder: nothing is sent
// twice.

import Foundation
import NeonHub

/// What the campaign is to do.
let brief = CampaignBrief(
    audienceText: "People who bought beans from us this year but have not joined the refill club yet",
    brand: "Brightmoor Coffee",
    budget: Money(currency: "USD", minor: 480_000),
    channels: CampaignChannel.allCases,
    end: Date(timeIntervalSince1970: 1_825_041_599),
    goal: "Win 300 new members for Brightmoor Circle",
    keyMessages: [
        "Beans roasted on Tuesday are with you by Friday",
        "The ReBag is a coffee bag that comes back",
        "One ReBag replaces about 20 single-use bags",
    ],
    landingUrl: "https://brightmoor.example/circle?ref=campaign#join",
    locale: "en-US",
    mustNotSay: ["guaranteed", "cheap", "last chance", "act now"],
    mustSay: ["Pause or cancel any time"],
    offer: "Your first refill is half price with code CIRCLE26",
    sender: BriefSender(
        email: "hello@brightmoor.example",
        name: "Brightmoor Coffee",
        postalAddress: "Brightmoor Coffee, 48 Kiln Street, Ashdale, VT 05999, USA",
        unsubscribeUrl: "https://brightmoor.example/unsubscribe"
    ),
    start: Date(timeIntervalSince1970: 1_793_624_400),
    timezone: "America/New_York"
)

/// The campaign, one operation after the other.
func run(_ hub: Hub, data: URL, out: URL) async throws -> CampaignReport {
    let campaign = try await hub.campaign.create(brief: brief)
    let slug = try await hub.brands.get(brand: campaign.brand).slug
    do {
        _ = try await hub.spaces.create(name: "brand-voice")
        _ = try await hub.datasets.create(name: "brand-voice", space: "brand-voice")
    } catch NeonHubError.alreadyExists {
        // The second run works on what the first one made.
    }
    let endings: Set = ["pdf", "docx", "md", "html", "txt"]
    let files = try FileManager.default.contentsOfDirectory(
        at: data.appendingPathComponent("brand"), includingPropertiesForKeys: nil)
    for file in files.filter({ endings.contains($0.pathExtension) }).sorted(by: { $0.path < $1.path }) {
        let blob = try await hub.putBlob(Data(contentsOf: file))
        _ = try await hub.documents.upload(
            dataset: "brand-voice", name: file.lastPathComponent, blob: blob, tags: ["brand:\(slug)"])
    }
    _ = try await hub.voice.extract(brand: slug)
    let imported = try await hub.people.`import`.start(path: data.appendingPathComponent("contacts.csv").path)
    let plan = try await hub.campaign.plan(id: campaign.id)
    for asset in try await hub.campaign.generateAssets(id: campaign.id) {
        try save(asset, out.appendingPathComponent("assets/\(asset.channel.rawValue)/\(asset.stepKey).json"))
    }
    if campaign.approval == nil {
        _ = try await hub.campaign.approve(id: campaign.id, planVersion: plan.version)
    }
    let before = try await hub.campaign.report(id: campaign.id).sends.sent
    _ = try await hub.campaign.start(id: campaign.id)
    _ = try await hub.jobs.work()
    let report = try await hub.campaign.report(id: campaign.id, import: imported.id, sentBefore: before)
    try save(plan, out.appendingPathComponent("plan.json"))
    try save(report, out.appendingPathComponent("report.json"))
    return report
}

func save(_ value: some Encodable, _ file: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try encoder.encode(value).write(to: file)
}

@main
struct Campaign {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let out = URL(fileURLWithPath: arguments.count > 1 ? arguments[1] : "campaign-out")
        let data = URL(fileURLWithPath: arguments.count > 2 ? arguments[2] : "examples/data")
        try FileManager.default.createDirectory(at: out, withIntermediateDirectories: true)
        let hub = try await Hub.open(
            out.appendingPathComponent("campaign.neon").path, outbox: out.appendingPathComponent("outbox").path)
        let report = try await run(hub, data: data, out: out)
        try await hub.close()
        let sends = report.sends
        print("\(report.contacts.people) people, \(report.knowledge.documents) documents")
        print("\(sends.allowed) allowed, \(sends.deferred) deferred, \(sends.denied) denied; \(sends.sentNow) sent now")
        for line in report.reasonLines { print("  \(line.count) \(line.rule): \(line.meaning)") }
        print("everything is in \(out.path)")
    }
}
