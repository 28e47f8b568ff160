/*
 * One brief becomes a gated multi-channel campaign, offline, on one file: the story in Kotlin.
 *
 * It runs on the bundled data of a fictional coffee roaster; options: --out DIR, --now INSTANT. Run it again on the
 * same out folder: nothing is sent twice. How to start it stands in bindings/mobile/kotlin/README.md.
 */
package campaign

import ai.neonhub.Hub
import ai.neonhub.NeonHubException
import ai.neonhub.models.BriefSender
import ai.neonhub.models.CampaignBrief
import ai.neonhub.models.CampaignChannel
import ai.neonhub.models.CampaignReport
import ai.neonhub.models.Money
import java.nio.file.Path
import java.time.Instant
import kotlin.io.path.createDirectories
import kotlin.io.path.extension
import kotlin.io.path.invariantSeparatorsPathString
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.name
import kotlin.io.path.readBytes
import kotlin.io.path.writeText
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json

private val ENDINGS = setOf("pdf", "docx", "md", "html", "txt")
private val PRETTY = Json { prettyPrint = true }

/** What the campaign is to do. */
private val BRIEF = CampaignBrief(
    goal = "Win 300 new members for Brightmoor Circle",
    brand = "Brightmoor Coffee",
    audienceText = "People who bought beans from us this year but have not joined the refill club yet",
    keyMessages = listOf(
        "Beans roasted on Tuesday are with you by Friday",
        "The ReBag is a coffee bag that comes back",
        "One ReBag replaces about 20 single-use bags",
    ),
    offer = "Your first refill is half price with code CIRCLE26",
    channels = CampaignChannel.entries,
    start = Instant.parse("2026-11-02T13:00:00Z"),
    end = Instant.parse("2027-11-01T03:59:59.999Z"),
    locale = "en-US",
    timezone = "America/New_York",
    mustSay = listOf("Pause or cancel any time"),
    mustNotSay = listOf("guaranteed", "cheap", "last chance", "act now"),
    landingUrl = "https://brightmoor.example/circle?ref=campaign#join",
    budget = Money(minor = 480_000, currency = "USD"),
    sender = BriefSender(
        email = "hello@brightmoor.example",
        name = "Brightmoor Coffee",
        postalAddress = "Brightmoor Coffee, 48 Kiln Street, Ashdale, VT 05999, USA",
        unsubscribeUrl = "https://brightmoor.example/unsubscribe",
    ),
)

/** The campaign, one operation after the other. */
private suspend fun run(hub: Hub, data: Path, out: Path): CampaignReport {
    val campaign = hub.campaign.create(brief = BRIEF)
    val slug = hub.brands.get(brand = campaign.brand).slug
    try {
        hub.spaces.create(name = "brand-voice")
        hub.datasets.create(space = "brand-voice", name = "brand-voice")
    } catch (_: NeonHubException.AlreadyExists) {
        // The second run works on what the first one made.
    }
    for (file in data.resolve("brand").listDirectoryEntries().filter { it.extension in ENDINGS }.sorted()) {
        val blob = hub.putBlob(file.readBytes())
        hub.documents.upload(dataset = "brand-voice", name = file.name, blob = blob, tags = listOf("brand:$slug"))
    }
    hub.voice.extract(brand = slug)
    val imported = hub.people.import.start(path = data.resolve("contacts.csv").invariantSeparatorsPathString)
    val plan = hub.campaign.plan(id = campaign.id)
    for (asset in hub.campaign.generateAssets(id = campaign.id)) {
        save(out.resolve("assets/${asset.channel.word}/${asset.stepKey}.json"), PRETTY.encodeToString(asset))
    }
    if (campaign.approval == null) hub.campaign.approve(id = campaign.id, planVersion = plan.version)
    val sentBefore = hub.campaign.report(id = campaign.id).sends.sent
    hub.campaign.start(id = campaign.id)
    hub.jobs.work()
    val report = hub.campaign.report(id = campaign.id, import = imported.id, sentBefore = sentBefore)
    save(out.resolve("plan.json"), PRETTY.encodeToString(plan))
    save(out.resolve("report.json"), PRETTY.encodeToString(report))
    return report
}

private fun save(path: Path, text: String) {
    path.parent.createDirectories()
    path.writeText(text + "\n")
}

public fun main(arguments: Array<String>): Unit = runBlocking {
    val given = arguments.toList().chunked(2).associate { (name, value) -> name to value }
    val out = Path.of(given["--out"] ?: "campaign-out").createDirectories()
    val data = Path.of(given["--data"] ?: "examples/data")
    val now = given["--now"]?.let(Instant::parse)
    val outbox = out.resolve("outbox").toString()
    val report = Hub.open(out.resolve("campaign.neon").toString(), outbox = outbox, now = now).use { run(it, data, out) }
    val sends = report.sends
    println("${report.contacts.people} people, ${report.knowledge.documents} documents, ${report.assets.values.sum()} assets")
    println("${sends.allowed} allowed, ${sends.deferred} deferred, ${sends.denied} denied; ${sends.sentNow} sent now")
    for (line in report.reasonLines) println("  ${line.count.toString().padStart(5)} ${line.rule}: ${line.meaning}")
    println("everything is in $out")
}
